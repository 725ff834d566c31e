"""The section `rag` of cluster.yaml: where documents are kept, and which model makes their vectors."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cluster.config_section import Section
from cluster.config_values import LOOPBACK_HOSTS, ConfiguredName, Url


class WeaviateSection(Section):
    """A server of yours. Needs `pip install 'potluck[weaviate]'` where the gateway runs; deploy/compose starts one."""

    url: Url
    """Its REST endpoint: http://127.0.0.1:8080. Plain HTTP on this machine, https elsewhere."""
    grpc: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$")] | None = None
    """HOST:PORT of its gRPC endpoint, which uses TLS if `url` does. Absent: port 50051 of the same host."""
    api_key_file: Annotated[str, Field(pattern="^/.+$")] | None = None
    """A file with its API key, readable by this user only. Absent: it asks for none."""
    zone: ConfiguredName | None = None
    """The privacy zone that it is in. Absent: it keeps no document of a class that is bound to zones."""
    prefix: Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]{0,30}$")] = "Potluck"
    """What the names of its collections begin with, where several potlucks use one server."""

    @field_validator("url")
    @classmethod
    def _no_path(cls, url: str) -> str:
        if urlsplit(url).path not in ("", "/"):
            raise ValueError("ends after the port: the client adds the paths itself")
        return url

    @model_validator(mode="after")
    def _in_clear_here_only(self) -> Self:
        clear = urlsplit(self.url).scheme == "http"
        if clear and self.grpc is not None and self.grpc.rpartition(":")[0] not in LOOPBACK_HOSTS:
            raise ValueError("`grpc` is another machine's, and has no TLS where `url` has none; use https")
        return self


class StoreSection(Section):
    weaviate: WeaviateSection
    """More documents than one machine scans at each question: beyond some 200,000 chunks in one space."""


class RagSection(Section):
    """People's documents, which `file_search` looks into. A change takes effect when the gateway starts again."""

    store: Literal["embedded"] | StoreSection = "embedded"
    """`embedded`: one file beside the gateway's other state. `potluck rag migrate` moves what there is to another."""
    encoder: ConfiguredName | None = None
    """The model that makes the vectors of documents. Absent: the one that there is."""
    reranker: ConfiguredName | None = None
    """The model that reads what was found once more beside its question, and orders it. Absent: nobody does."""
