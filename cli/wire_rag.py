"""Which store of documents there is: the one place where cluster.yaml decides it."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.config_rag import RagSection, WeaviateSection
from inventory.clock import Clock
from inventory.paths import StatePaths

if TYPE_CHECKING:
    from rag.stores.contract import VectorStore
    from rag.stores.weaviate_client import WeaviatePlace


class NoWeaviateClientError(Exception):
    """cluster.yaml names a Weaviate, and its client is not installed. The command prints this."""

    def __init__(self) -> None:
        super().__init__(
            "cluster.yaml keeps documents in a Weaviate, whose client is not installed here: "
            "pip install 'potluck[weaviate]', or `rag: { store: embedded }`"
        )


def open_store(paths: StatePaths, section: RagSection, clock: Clock) -> "VectorStore":
    """Raises StoreError, ExposedSecretError, NoWeaviateClientError. A server is asked when it is first needed."""
    if section.store == "embedded":
        return embedded_store(paths, clock)
    return weaviate_store(section.store.weaviate, clock)


def embedded_store(paths: StatePaths, clock: Clock) -> "VectorStore":
    from rag.stores.embedded import EmbeddedStore

    return EmbeddedStore(paths.rag_db, clock)


def weaviate_store(section: WeaviateSection, clock: Clock) -> "VectorStore":
    """Raises NoWeaviateClientError."""
    try:
        from rag.stores.weaviate import WeaviateStore
    except ModuleNotFoundError as error:
        raise NoWeaviateClientError from error
    return WeaviateStore(weaviate_place(section), clock)


def weaviate_place(section: WeaviateSection) -> "WeaviatePlace":
    from rag.stores.weaviate_client import WeaviatePlace

    split = urlsplit(section.url)
    secure, host = split.scheme == "https", split.hostname or ""
    grpc_host, _, grpc_port = (section.grpc or f"{host}:50051").rpartition(":")
    key = Path(section.api_key_file) if section.api_key_file else None
    return WeaviatePlace(
        host, split.port or (443 if secure else 80), secure, grpc_host, int(grpc_port), key, section.prefix
    )
