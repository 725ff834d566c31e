"""The section `pii` of cluster.yaml: what becomes of personal data and secrets in prompts, answers and documents."""

from typing import Annotated

from pydantic import Field

from cluster.config_section import Section
from cluster.pii.policy import PiiRules, Policy
from cluster.pii.scan import LEAST
from cluster.pii.spans import KINDS, Kind


class NamesSection(Section):
    """Names of people and places, which no pattern finds: needs `pip install 'potluck[pii]'` where the gateway runs."""

    models: dict[Annotated[str, Field(pattern="^[a-z]{2}$")], Annotated[str, Field(pattern="^/.+$")]] = Field(
        min_length=1
    )
    """A folder with a spaCy model of yours for each language, as `es: /srv/models/es_ner`. Nothing is fetched."""


class PiiSection(Section):
    """Each policy is one of off, tag, redact, pseudonymise, refuse. Of what is said here, of a key and of a space, the
    strictest applies."""

    default: Policy = "off"
    """Of every kind that `kinds` does not name."""
    kinds: dict[Kind, Policy] = {}
    """Of single kinds, as `iban: pseudonymise`, `secret: refuse`."""
    least_confidence: float = Field(default=LEAST, ge=0.0, le=1.0)
    """What is less sure than this counts as nothing."""
    names: NamesSection | None = None
    """For documents as they are read, and `potluck privacy scan`. Absent: names are not looked for."""

    def rules(self) -> PiiRules:
        named = tuple((kind, self.kinds[kind]) for kind in KINDS if kind in self.kinds)
        return PiiRules(self.default, named, self.least_confidence)
