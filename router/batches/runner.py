"""Runs batches: reads their files, hands their lines to idle machines, keeps the answers, and makes files of them.

One task owns all that changes. What it knows is in the store before anybody is told of it, so that whoever starts after
a crash goes on with the lines that have no answer yet.
"""

import asyncio
import secrets
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from cluster.jobs import JobFabric, JobPart
from inventory.clock import Clock
from inventory.logs import told
from nodes.snapshot import NodeId
from router.batches.lines import read_lines
from router.batches.picking import roomiest
from router.batches.store import BatchStore, write_file
from router.batches.values import (
    ENDPOINTS,
    FINAL,
    FULL_S,
    BatchRow,
    BatchStatus,
    FileRow,
    LineJob,
    LineSpan,
    Problem,
    decode_answer,
    encode_job,
    fate_of,
)
from router.batches.wire import output_line, unanswered_line
from router.batches.work import Work
from router.errors import ApiError
from router.log import EventLog
from router.request import Identity

LOOK_S = 0.25  # between two looks at who is idle
AHEAD = 256  # lines that are known before they are needed
CLEAN_S = 3600.0
KEPT_S = 30 * 24 * 3600  # of an output file


class House(Protocol):
    """What there is to know of the gateway around."""

    body_limit_bytes: int

    def rooms(self, identity: Identity, model: str, added: frozenset[str]) -> tuple[dict[NodeId, int] | None, str]:
        """Of a caller, a model's name, and the privacy classes beside his key's: lines that each machine can take more,
        or why none can. None: no such model, or nowhere that they may go, which any machine can say."""
        ...

    def caller(self, batch: BatchRow) -> Identity | None:
        """Who made it, by what is known of keys now; None of somebody who may ask for nothing any more."""
        ...


class BatchRunner:
    def __init__(
        self,
        store: BatchStore,
        fabric: JobFabric,
        house: House,
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._store, self._fabric, self._house = store, fabric, house
        self._clock, self._log = clock, log
        self._works: dict[str, Work] = {}
        self._news = asyncio.Event()
        self.before_dropping: Callable[[FileRow], Awaitable[None]] = _nothing
        """Whoever else reads a file lets go of it then. Raises ApiError where that cannot be: then the file stays."""

    def wanted(self) -> Mapping[str, int]:
        """Lines that run or come next, by the model they name."""
        return Counter(line.model for work in self._works.values() for line in (*work.ahead, *work.running))

    def why(self, batch_id: str) -> str:
        """Nothing of it runs at this moment."""
        work = self._works.get(batch_id)
        return work.why if work is not None and not work.running else ""

    def submit(self, batch: BatchRow) -> None:
        """It is in the store."""
        self._works[batch.batch_id] = Work(batch)
        self._news.set()

    async def cancel(self, batch: BatchRow) -> BatchRow:
        """Lines without an answer get none. Returns the batch as it is now; one that is over stays as it is."""
        work = self._works.get(batch.batch_id)
        if work is None or work.row.status in FINAL or work.ending:
            return work.row if work is not None else batch
        if work.row.status != "cancelling":
            await self._withdraw(work)
        return work.row

    async def _withdraw(self, work: Work) -> None:
        work.row = work.row.turned("cancelling", self._clock.wall_s())
        await asyncio.to_thread(self._store.save, work.row)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        for batch in await asyncio.to_thread(self._store.open_batches):
            self._works.setdefault(batch.batch_id, Work(batch))
        cleaned_s = -CLEAN_S
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                now_s = self._clock.monotonic_s()
                if now_s - cleaned_s >= CLEAN_S:
                    await self._clean()
                    cleaned_s = now_s
                for work in sorted(self._works.values(), key=lambda work: len(work.running)):
                    await self._look_safely(work, tasks)
                try:
                    async with asyncio.timeout(LOOK_S if self._works else CLEAN_S):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def drop(self, file: FileRow) -> None:
        """Raises what `before_dropping` raises."""
        await self.before_dropping(file)
        await asyncio.to_thread(self._store.drop_file, file.file_id)

    async def _clean(self) -> None:
        for file in await asyncio.to_thread(self._store.expired, int(self._clock.wall_s())):
            try:
                await self.drop(file)
            except ApiError as error:
                self._log.emit("file_not_dropped", name=file.file_id, error=error.message)
        await asyncio.to_thread(self._store.clean)

    async def _look_safely(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """A full disk must end neither other batches nor the gateway."""
        if self._clock.monotonic_s() < work.rests_until_s:
            return
        try:
            await self._look(work, tasks)
        except (sqlite3.Error, OSError) as error:
            self._log.emit("batch_not_kept", name=work.row.batch_id, error=str(error))
            work.why, work.ending = f"its answers cannot be kept: {error}", False
            work.rests_until_s = self._clock.monotonic_s() + FULL_S

    async def _look(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """Do what can be done for a batch at this moment."""
        if work.row.status == "validating":
            await self._validate(work)
        ending = self._ending(work)
        if ending is not None:
            work.stop()
            if not work.running:
                await self._end(work, *ending)
        elif work.row.status == "in_progress":
            await self._read_ahead(work)
            await self._hand_out(work, tasks)

    def _ending(self, work: Work) -> tuple[BatchStatus, str] | None:
        """How it ends, now that it does, and what is said of lines that have no answer."""
        if work.row.status in FINAL:
            return None
        if work.row.status == "cancelling":
            return "cancelled", "the batch was cancelled before this line had an answer"
        if self._clock.wall_s() >= work.row.expires_s:
            return "expired", "no machine was idle for long enough to answer this line within the completion window"
        if work.row.status == "finalizing" or work.answered:
            return "completed", ""
        return None

    async def _validate(self, work: Work) -> None:
        batch = work.row
        try:
            lines, problems = await asyncio.to_thread(self._read_input, batch)
        except OSError as error:
            lines, problems = [], [Problem("file_lost", f"the input file cannot be read: {error.strerror}")]
        wall_s = self._clock.wall_s()
        if problems:
            work.row = replace(batch.turned("failed", wall_s), errors=tuple(problems))
            await asyncio.to_thread(self._store.save, work.row)
            self._leave(work, f"{len(problems)} problems with its input file")
            return
        if work.row.status == "validating":  # it may have been cancelled since
            work.row = batch.turned("in_progress", wall_s)
        await asyncio.to_thread(self._store.begin, work.row, lines)
        self._log.emit("batch_begins", name=batch.batch_id, records=len(lines))

    def _read_input(self, batch: BatchRow) -> tuple[list[LineSpan], list[Problem]]:
        with self._store.content(batch.input_file).open("rb") as lines:
            return read_lines(lines, batch.endpoint, self._house.body_limit_bytes)

    async def _read_ahead(self, work: Work) -> None:
        if len(work.ahead) < AHEAD // 2 and not work.all_read:
            found = await asyncio.to_thread(self._store.left, work.row.batch_id, work.next_at, AHEAD)
            work.take(found, AHEAD)
            if work.answered:
                self._news.set()

    async def _hand_out(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """Lines to idle machines, in their order; those of a model that has none let others pass."""
        if self._clock.monotonic_s() < work.not_before_s or not work.ahead:
            return
        identity = self._house.caller(work.row)
        if identity is None:
            await self._withdraw(work)
            return
        for model in dict.fromkeys(line.model for line in work.ahead):
            places, work.why = self._house.rooms(identity, model, frozenset(work.row.classes))
            while (line := work.first_of(model)) is not None and (places is None or places):
                node_id = NodeId("") if places is None else roomiest(places)
                if places is not None:
                    places[node_id] -= 1
                    if not places[node_id]:
                        del places[node_id]
                work.ahead.remove(line)
                work.running[line] = tasks.create_task(self._answer(work, line, identity, node_id))
                if places is None and len(work.running) >= AHEAD:
                    break

    async def _answer(self, work: Work, line: LineSpan, identity: Identity, node_id: NodeId) -> None:
        try:
            await self._ask(work, line, identity, node_id)
        except Exception as error:  # noqa: BLE001 - one line must not end all batches: told, and tried later
            self._log.emit("batch_line_failed", name=work.row.batch_id, error=told(error))
            work.put_back(line, self._clock.monotonic_s() + FULL_S)
        finally:
            work.running.pop(line, None)
            self._news.set()

    async def _ask(self, work: Work, line: LineSpan, identity: Identity, node_id: NodeId) -> None:
        batch = work.row
        body = await asyncio.to_thread(_read_span, self._store.content(batch.input_file), line)
        job = LineJob(batch.batch_id, line.custom_id, ENDPOINTS[batch.endpoint], identity, body, batch.classes)
        (outcome,) = await self._fabric.run("answer_line", (JobPart(node_id, encode_job(job)),))
        answer = decode_answer(outcome.answer) if outcome.answer is not None else None
        fate = fate_of(answer, work.tried(line.at, answer))
        if answer is not None and fate in ("done", "failed"):
            await asyncio.to_thread(self._store.settle, batch.batch_id, line.at, answer, fate == "failed")
            return
        patience_s = 0.0
        if fate == "later":
            patience_s = FULL_S if answer is None or answer.retry_after_s is None else answer.retry_after_s
        work.put_back(line, self._clock.monotonic_s() + patience_s)

    async def _end(self, work: Work, status: BatchStatus, unanswered: str) -> None:
        work.ending = True
        wall_s = self._clock.wall_s()
        if status == "completed":
            work.row = work.row.turned("finalizing", wall_s)
            await asyncio.to_thread(self._store.save, work.row)
        files = await asyncio.to_thread(self._write_files, work.row, f"batch_{status}", unanswered)
        row = work.row.turned(status, self._clock.wall_s())
        output, errors = files
        row = replace(
            row,
            output_file=output.file_id if output is not None else None,
            error_file=errors.file_id if errors is not None else None,
        )
        await asyncio.to_thread(self._store.finish, row, [file for file in files if file is not None])
        work.row = row
        self._leave(work, "")

    def _leave(self, work: Work, why: str) -> None:
        self._works.pop(work.row.batch_id, None)
        self._log.emit("batch_ends", name=work.row.batch_id, state=work.row.status, why=why or None)

    def _write_files(self, batch: BatchRow, code: str, unanswered: str) -> tuple[FileRow | None, FileRow | None]:
        """Its output file, and the one of what went wrong; neither where it would be empty. `code` and `unanswered` are
        said of lines without an answer."""
        store, batch_id = self._store, batch.batch_id
        done = (output_line(batch_id, *one) for one in store.answers(batch_id, failed=False))
        failed = (output_line(batch_id, *one) for one in store.answers(batch_id, failed=True))
        return (
            self._write_one(batch, "output", done),
            self._write_one(batch, "error", chain(failed, self._unanswered(batch_id, code, unanswered))),
        )

    def _unanswered(self, batch_id: str, code: str, why: str) -> Iterator[bytes]:
        after = 0
        while lines := self._store.left(batch_id, after, AHEAD):
            for line in lines:
                yield unanswered_line(batch_id, line.at, line.custom_id, code, why)
            after = lines[-1].at + 1

    def _write_one(self, batch: BatchRow, what: str, lines: Iterable[bytes]) -> FileRow | None:
        file_id, created_s = f"file-{secrets.token_hex(16)}", int(self._clock.wall_s())
        size = write_file(self._store.content(file_id), lines)
        if not size:
            self._store.content(file_id).unlink()
            return None
        name = f"{batch.batch_id}_{what}.jsonl"
        ends_s = created_s + KEPT_S
        return FileRow(file_id, batch.owner, name, "batch_output", size, created_s, ends_s, batch.classes)


async def _nothing(_: FileRow) -> None:
    """Nobody else reads files."""


def _read_span(path: Path, line: LineSpan) -> bytes:
    with path.open("rb") as file:
        file.seek(line.offset)
        return file.read(line.size)
