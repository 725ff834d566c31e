"""Reads files into their stores: the oldest wish first, every tenant in turn, parsed where there is room, in the
background.

What it knows is in library.db, so that whoever starts after a crash goes on where this one was.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heapreplace
from typing import TypeAlias

import structlog
from msgspec.structs import replace

from cluster.knowledge import KnowledgeError, Reader
from inventory.clock import Clock
from inventory.logs import told
from rag.embedding import EmbeddingError, NoPlaceError
from rag.library.encoders import Encoders
from rag.library.memory import Memory
from rag.library.mending import mend
from rag.library.places import Places
from rag.library.reading import Loaded, Parsed, Parsing, Problem, documented, embedded_text, load, size_of
from rag.library.rows import FileRow
from rag.library.shelves import Shelves
from rag.stores.contract import StoreError
from rag.values import Vectors

LOOK_S = 1.0
TIDY_S = 60.0
AT_ONCE = 24  # files that are being read
MEMORY_BYTES = 256_000_000  # of files that are on their way to a parser
EMBEDDING = 4  # documents of a tenant whose vectors are being made
TRIES = 12
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
WAIT_S = 15.0  # for a cluster.yaml that lets a file be read here

Chore: TypeAlias = Callable[[], Awaitable[None]]

log = structlog.get_logger("potluck.rag")


class Ingest:
    """One task reads; others are told what comes of it by library.db."""

    def __init__(
        self,
        shelves: Shelves,
        parsing: Parsing,
        encoders: Encoders,
        clock: Clock,
        places: Places,
    ) -> None:
        self._shelves, self._parsing, self._encoders, self._clock = shelves, parsing, encoders, clock
        self._places = places
        self._news = asyncio.Event()
        self._reading: dict[tuple[str, str], FileRow] = {}
        self._encoding: defaultdict[tuple[str, str, frozenset[str]], _Encoding] = defaultdict(_Encoding)
        self._memory = Memory(MEMORY_BYTES)
        self._rests_until_s = 0.0

    def wake(self) -> None:
        self._news.set()

    @property
    def idle(self) -> bool:
        return not self._reading

    async def run(self, look: Chore, tidy: Chore) -> None:
        """Until cancelled. Other work that is due, `look` at every turn and `tidy` now and then, is done besides."""
        await self._safely(self._begin)
        tidied_s = self._clock.monotonic_s() - TIDY_S
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                if self._clock.monotonic_s() - tidied_s >= TIDY_S:
                    tidied_s = self._clock.monotonic_s()
                    await self._safely(self._shelves.finish_leaving)
                    await self._safely(tidy)
                await self._safely(look)
                await self._safely(partial(self._hand_out, tasks))
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def _begin(self) -> None:
        count = await mend(self._shelves)
        if count:
            log.warning("library_mended", records=count)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        """A full disk, or a store that is away, must not end the gateway: told, and tried later."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - nor must what nobody foresaw
            known = isinstance(error, sqlite3.Error | OSError | StoreError)
            self._rests_until_s = self._clock.monotonic_s() + FIRST_PAUSE_S
            log.warning("library_not_kept", error=str(error) if known else told(error))

    async def _hand_out(self, tasks: asyncio.TaskGroup) -> None:
        free = AT_ONCE - len(self._reading)
        if free < AT_ONCE // 4 or self._clock.monotonic_s() < self._rests_until_s:
            return
        due = await self._shelves.ask(self._shelves.catalogue.to_read, self._clock.wall_s(), 2 * AT_ONCE)
        waiting = {tenant: [row for row in rows if row.key not in self._reading] for tenant, rows in due.items()}
        for row in in_turn(waiting, Counter(row.tenant for row in self._reading.values()), free):
            self._reading[row.key] = row
            tasks.create_task(self._read(row))

    async def _read(self, row: FileRow) -> None:
        try:
            await self._read_to_its_end(row)
        except NoPlaceError as error:
            await self._wait(row, str(error))
        except (EmbeddingError, StoreError, sqlite3.Error, OSError) as error:
            await self._try_again(row, str(error))
        except Exception as error:  # noqa: BLE001 - one file must not end the reading of all: told, and tried later
            log.warning("file_not_read", file=row.file_id, error=told(error))
            await self._try_again(row, f"reading it failed in a way that nobody foresaw: {told(error)}")
        finally:
            del self._reading[row.key]
            self._news.set()

    async def _read_to_its_end(self, row: FileRow) -> None:
        store = await self._shelves.ask(self._shelves.catalogue.store, row.store_id)
        if store is None:
            return
        classes = frozenset({store.data_class, row.reader.data_class})
        outside = self._outside(classes)
        if outside is not None:
            await self._wait(row, outside)
            return
        size_bytes = await asyncio.to_thread(size_of, row)
        async with self._memory.taken(size_bytes):
            loaded = await asyncio.to_thread(load, row, classes, store.pii)
            if isinstance(loaded, Problem):
                await self._failed(row, loaded, None)
                return
            if loaded.unchanged:
                await self._shelves.keep(row)
                return
            if row.problem_code is not None and row.failed_hash == loaded.content_hash:
                await self._shelves.note(row, status="failed")
                return
            parsed = await self._parsing.parse(loaded)
        if isinstance(parsed, Problem):
            await self._failed(row, parsed, loaded.content_hash)
        else:
            await self._put(loaded, parsed)

    async def _put(self, loaded: Loaded, parsed: Parsed) -> None:
        row = loaded.row
        store = await self._shelves.ask(self._shelves.catalogue.store, row.store_id)
        if store is None:
            return
        if not {store.data_class, row.reader.data_class} <= loaded.classes:  # it has another class since
            self._news.set()
            return
        reader = replace(row.reader, classes=loaded.classes)
        vectors = await self._vectors(reader, store.encoder, [embedded_text(chunk) for chunk in parsed.chunks])
        self._places.saw(None, loaded.classes, "kept", row.file_id)
        document = documented(loaded, parsed, vectors.size, store.data_class)
        await self._shelves.put(row, document, parsed.chunks, vectors)

    async def _vectors(self, reader: Reader, model: str, texts: Sequence[str]) -> Vectors:
        """An encoder that is away for a tenant is asked once, not by each of its files, so that others' are read."""
        encoding = self._encoding[reader.tenant, model, reader.classes]
        async with encoding.turn:
            if self._clock.monotonic_s() < encoding.away_until_s:
                raise EmbeddingError(encoding.why)
            try:
                return await self._encoders.embedder(reader, model, True).vectors(texts)
            except EmbeddingError as error:
                encoding.away_until_s, encoding.why = self._clock.monotonic_s() + FIRST_PAUSE_S, str(error)
                raise

    async def _failed(self, row: FileRow, problem: Problem, content_hash: str | None) -> None:
        if problem.passing:
            await self._try_again(row, problem.text)
            return
        log.info("file_not_read", file=row.file_id, code=problem.code)
        await self._shelves.note(
            row, status="failed", problem_code=problem.code, problem=problem.text, failed_hash=content_hash
        )

    def _outside(self, classes: frozenset[str]) -> str | None:
        """Why it may not be read here, nor anywhere else."""
        try:
            return self._places.why_not_kept(classes)
        except KnowledgeError as error:
            return error.message

    async def _wait(self, row: FileRow, why: str) -> None:
        """Until cluster.yaml says otherwise: it goes nowhere else meanwhile."""
        log.info("file_read_later", file=row.file_id, tries=row.tries, reason=why)
        facts = {"problem_code": "server_error", "problem": f"it waits: {why}", "next_s": self._clock.wall_s() + WAIT_S}
        await self._safely(partial(self._note, row, facts))

    async def _try_again(self, row: FileRow, why: str) -> None:
        """Later, and less and less often. Where not even that can be kept, it is as if nobody had tried."""
        tries = row.tries + 1
        status = "failed" if tries >= TRIES else "in_progress"
        pause_s = min(FIRST_PAUSE_S * 2 ** (tries - 1), LONGEST_PAUSE_S)
        log.info("file_read_later", file=row.file_id, tries=tries, reason=why)
        facts = {
            "status": status, "problem_code": "server_error", "problem": why, "tries": tries,
            "next_s": self._clock.wall_s() + pause_s,
        }  # fmt: skip
        await self._safely(partial(self._note, row, facts))

    async def _note(self, row: FileRow, facts: Mapping[str, object]) -> None:
        await self._shelves.note(row, **facts)


def in_turn(waiting: Mapping[str, Sequence[FileRow]], busy: Mapping[str, int], count: int) -> list[FileRow]:
    """The next files to read, of each tenant in its order; the tenant of whom fewest are being read goes first."""
    heap = [(busy.get(tenant, 0), tenant) for tenant, rows in waiting.items() if rows]
    rows_of = {tenant: iter(rows) for tenant, rows in waiting.items()}
    heapify(heap)
    found: list[FileRow] = []
    while heap and len(found) < count:
        load, tenant = heap[0]
        row = next(rows_of[tenant], None)
        if row is None:
            heappop(heap)
        else:
            found.append(row)
            heapreplace(heap, (load + 1, tenant))
    return found


@dataclass(slots=True)
class _Encoding:
    """One tenant's use of one encoder."""

    turn: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, EMBEDDING))
    away_until_s: float = 0.0  # monotonic
    why: str = ""
