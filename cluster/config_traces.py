"""The section `gateway.traces` of cluster.yaml: where traces of requests go, if anywhere."""

from typing import Annotated

from pydantic import Field

from cluster.config_section import Section
from cluster.config_values import Url


class TracesSection(Section):
    """A span for each request, to a collector of OpenTelemetry's (OTLP over HTTP, protobuf): times, tokens, model,
    machine and outcome; no text, no key, no person. Needs `pip install 'potluck[traces]'`. A change takes effect when
    the gateway starts again."""

    endpoint: Url
    """With its path: http://127.0.0.1:4318/v1/traces. Plain HTTP on this machine, https elsewhere."""
    elsewhere: bool = False
    """Needed for any other host than this machine's own addresses: what is told then leaves it."""
    authorities: Annotated[str, Field(pattern="^/.+$")] | None = None
    """Certificates (PEM) of authorities that may vouch for it. Absent: those that Python's libraries bring."""
