"""A library put together from its parts: who answers the gateway, and who reads files meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.erasure import Erasable
from cluster.knowledge import Counts
from inventory.clock import Clock
from rag.library.catalogue import Catalogue
from rag.library.encoders import Encoders
from rag.library.erasing import DocumentErasure
from rag.library.ingest import Ingest
from rag.library.library import Library
from rag.library.places import Places
from rag.library.reading import Parsing
from rag.library.shelves import Shelves
from rag.library.watcher import Watcher
from rag.stores.contract import VectorStore


@dataclass(frozen=True, slots=True)
class OpenLibrary:
    """`run` reads files until it is cancelled; `close` comes after that."""

    knowledge: Library
    ingest: Ingest
    watcher: Watcher
    shelves: Shelves

    @property
    def erasable(self) -> Erasable:
        return DocumentErasure(self.shelves)

    def keep_out(self, is_kept_out: Callable[[str], bool]) -> None:
        """Files of folders, by their path, that are not to be read again."""
        self.watcher.is_kept_out = is_kept_out

    async def files(self) -> Counts:
        return await self.shelves.ask(self.shelves.catalogue.all_standing)

    async def run(self) -> None:
        await self.ingest.run(self.watcher.look, self.knowledge.drop_expired)

    async def close(self) -> None:
        """The store of vectors as well."""
        await self.shelves.ask(self.shelves.catalogue.close)
        await self.shelves.store.close()


def open_library(
    root: Path, store: VectorStore, encoders: Encoders, parsing: Parsing, clock: Clock, places: Places
) -> OpenLibrary:
    """`root` is the state directory. Blocks. Raises KnowledgeError, ExposedSecretError."""
    shelves = Shelves(Catalogue(root / "library.db"), store)
    ingest = Ingest(shelves, parsing, encoders, clock, places)
    watcher = Watcher(shelves, clock, ingest.wake, root)
    knowledge = Library(shelves, encoders, clock, ingest.wake, root, places)
    return OpenLibrary(knowledge, ingest, watcher, shelves)
