"""Where the gateway of this machine keeps documents: the library, its store of vectors, and who parses for it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.config_pii import NamesSection
from cluster.config_rag import RagSection
from cluster.knowledge import KnowledgeError, Reader
from cluster.pii_presidio import NoPresidioError, finder_of
from inventory.secret_files import ExposedSecretError

if TYPE_CHECKING:
    from rag.embedding import Embedder
    from rag.reranking import Reranker
    from router.knowledge.room import Around, Room

USUAL = RagSection()


@dataclass(frozen=True, slots=True)
class GatewayEncoders:
    """Implements rag.library.encoders.Encoders: models of this gateway, asked within it. `chosen`: what cluster.yaml
    names, without which there is none to begin a store with. `ranks`: what it names to rank."""

    around: "Around"
    chosen: str | None
    ranks: str | None

    def models(self, reader: Reader) -> Sequence[str]:
        found = self.around.encoders(reader)
        if self.chosen is None:
            return found
        return [self.chosen, *(name for name in found if name != self.chosen)] if self.chosen in found else ()

    def embedder(self, reader: Reader, model: str, background: bool) -> "Embedder":
        from rag.embedding import GatewayEmbedder

        return GatewayEmbedder(self.around.client_for(reader, background), model, patient=background)

    def reranker(self, reader: Reader) -> "Reranker | None":
        from rag.reranking import GatewayReranker

        return None if self.ranks is None else GatewayReranker(self.around.client_for(reader), self.ranks)


def open_room(around: "Around", section: RagSection = USUAL, names: NamesSection | None = None) -> "Room":
    """Raises KnowledgeError, whose message names the file or the server."""
    from cli.wire_rag import NoWeaviateClientError

    place = f"{around.paths.library_db} or {around.paths.rag_db.name}"
    try:
        return _opened(around, section, names)
    except ImportError as error:
        raise KnowledgeError("broken", "library_missing", f"{error}; install potluck again") from error
    except (NoWeaviateClientError, NoPresidioError, ExposedSecretError) as error:
        raise KnowledgeError("broken", "documents_not_opened", str(error)) from error
    except (sqlite3.Error, OSError) as error:
        message = f"{place} cannot be used ({error}); `potluck doctor` says which, and what to do"
        raise KnowledgeError("broken", "documents_not_opened", message) from error


def _opened(around: "Around", section: RagSection, names: NamesSection | None) -> "Room":
    from cli.wire_rag import open_store
    from cluster.pii_vault import PseudonymVault
    from cluster.ray_jobs import RayJobs
    from cluster.ray_setup import bridge_socket
    from rag.library.guarded import GuardedParsing, Privacy
    from rag.library.machines import Machines
    from rag.library.opened import open_library
    from rag.library.places import Kept, Places
    from rag.stores.contract import StoreError

    paths, clock = around.paths, around.clock
    bridge = bridge_socket(paths)
    kept = Kept() if section.store == "embedded" else Kept(beside=False, zone=section.store.weaviate.zone)
    places = Places(around.where, around.witness, kept)
    parsing = Machines(RayJobs(bridge), lambda: around.ray_nodes() if bridge.exists() else (), clock, places)
    try:
        store = open_store(paths, section, clock)
    except StoreError as error:
        raise KnowledgeError("broken", "store_failed", str(error)) from error
    encoders = GatewayEncoders(around, section.encoder, section.reranker)
    vault = PseudonymVault(paths.pseudonyms_db, around.pseudonym_key, clock)
    privacy = Privacy(around.pii, around.pseudonym_key, vault, finder_of(names))
    return open_library(paths.root, store, encoders, GuardedParsing(parsing, privacy), clock, places)
