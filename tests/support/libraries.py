"""A library as the gateway has it, with vectors that a test can foresee, while it reads files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.jobs import InProcessJobs
from cluster.knowledge import NewFile, Reader, StoreFile
from cluster.whereabouts import Whereabouts
from inventory.clock import Clock, SystemClock
from nodes.snapshot import NodeId
from rag.chunking import cut
from rag.embedding import Embedder, EmbeddingError
from rag.library.encoders import Encoders
from rag.library.machines import Machines
from rag.library.opened import OpenLibrary, open_library
from rag.library.places import Places
from rag.library.reading import Loaded, Parsed, Parsing, Problem
from rag.parsing.documents import parse
from rag.parsing.values import CannotParseError
from rag.reranking import Reranker
from rag.stores.embedded import EmbeddedStore
from rag.values import Vectors
from support.rag_stores import ENCODER, vectors_of

ANA = Reader("school", "key-ana", "teachers", "private")
BEN = Reader("clinic", "key-ben", "doctors", "private")
NODE = NodeId("box")
ANYWHERE = Places(Whereabouts)
PATIENCE_S = 90.0  # of a machine with much else to do


class WordEncoder:
    """An Embedder for which texts with the same words are near each other. Counts what it is asked."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.made = 0
        self.away = False
        self.fails: EmbeddingError | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        self.asked.set()
        await self.may_answer.wait()
        if self.away:
            raise EmbeddingError(f"{self.model} is away")
        if self.fails is not None:
            raise self.fails
        self.made += len(texts)
        return vectors_of(texts)


class WordEncoders:
    """Implements rag.library.encoders.Encoders."""

    def __init__(self, *models: str) -> None:
        self.each = {model: WordEncoder(model) for model in models or (ENCODER,)}
        self.asked: list[tuple[Reader, str, bool]] = []
        self.ranks: Reranker | None = None

    @property
    def only(self) -> WordEncoder:
        (one,) = self.each.values()
        return one

    def models(self, reader: Reader) -> Sequence[str]:
        return tuple(self.each)

    def embedder(self, reader: Reader, model: str, background: bool) -> Embedder:
        self.asked.append((reader, model, background))
        return self.each[model]

    def reranker(self, reader: Reader) -> Reranker | None:
        return self.ranks


class ParsingHere:
    """Implements rag.library.reading.Parsing without a child process, for files that a test wrote itself."""

    async def parse(self, loaded: Loaded) -> Parsed | Problem:
        return await asyncio.to_thread(self._parsed, loaded)

    @staticmethod
    def _parsed(loaded: Loaded) -> Parsed | Problem:
        try:
            document = parse(loaded.row.name, loaded.content)
        except CannotParseError as error:
            return Problem(error.code, error.message, passing=False)
        chunks = cut(document.blocks, loaded.row.chunking).chunks
        return Parsed(document.title, document.media_type, document.language, document.attributes, chunks)


@asynccontextmanager
async def opened(
    root: Path,
    encoders: Encoders,
    clock: Clock | None = None,
    parsing: Parsing | None = None,
    places: Places = ANYWHERE,
) -> AsyncIterator[OpenLibrary]:
    """Not reading."""
    clock = clock or SystemClock()
    store = EmbeddedStore(root / "rag.db", clock)
    parsing = parsing or Machines(InProcessJobs(NODE), lambda: (NODE,), clock, places)
    library = open_library(root, store, encoders, parsing, clock, places)
    try:
        yield library
    finally:
        await library.close()


@asynccontextmanager
async def reading(library: OpenLibrary) -> AsyncIterator[None]:
    task = asyncio.create_task(library.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], library: OpenLibrary) -> None:
    """Wait for it, with every look of the library sooner than by itself."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            library.ingest.wake()
            await asyncio.sleep(0.01)


async def settled(library: OpenLibrary, store_id: str, reader: Reader = ANA) -> tuple[StoreFile, ...]:
    """Files of the store, once none is being read."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await library.knowledge.files(reader, store_id)
            if all(one.status != "in_progress" for one in found):
                return found
            await asyncio.sleep(0.01)


def upload(folder: Path, number: int, text: str | bytes, name: str = "") -> NewFile:
    """A file as the gateway keeps those that were uploaded."""
    file_id = f"file-{number:032x}"
    folder.mkdir(exist_ok=True)
    (folder / file_id).write_bytes(text.encode() if isinstance(text, str) else text)
    return NewFile(file_id, name or f"note {number}.md", str(folder / file_id))
