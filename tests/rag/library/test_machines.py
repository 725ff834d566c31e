"""Files on their way to the machines that parse them: each to one that has room, elsewhere where one fails."""

import asyncio
from collections.abc import Sequence

import msgspec

from cluster.jobs import InProcessJobs, JobFabric, JobFabricDownError, JobKind, JobOutcome, JobPart
from nodes.snapshot import NodeId
from rag.library.machines import LARGE_BYTES, OF_A_NODE, REST_S, Machines
from rag.library.reading import Loaded, Parsed, Problem
from rag.library.rows import FileRow
from rag.parsing.wire import ParseAnswer, ParseJob
from rag.values import NewChunk
from support.libraries import ANA, ANYWHERE
from support.manual_clock import ManualClock

RED, BLUE = NodeId("red"), NodeId("blue")


class Cluster:
    """A JobFabric whose nodes answer when they may, with what they were given; those that are broken say why."""

    def __init__(self) -> None:
        self.asked: list[NodeId] = []
        self.broken: set[NodeId] = set()
        self.down = False
        self.old = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.running = 0
        self.most_running = 0

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        if self.down:
            raise JobFabricDownError("Ray is down")
        assert kind == "parse_document"
        return tuple([await self._one(part) for part in parts])

    async def _one(self, part: JobPart) -> JobOutcome:
        self.asked.append(part.node_id)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.may_answer.wait()
        self.running -= 1
        if part.node_id in self.broken:
            return JobOutcome(part.node_id, None, "it left the cluster before the job was done")
        if self.old:
            return JobOutcome(part.node_id, b"an answer of another version", None)
        job = msgspec.msgpack.decode(part.argument, type=ParseJob)
        text = job.content.decode()
        return JobOutcome(
            part.node_id, msgspec.msgpack.encode(ParseAnswer(chunks=(NewChunk(text, 0, len(text)),))), None
        )


def a_file(number: int, text: bytes = b"hello") -> Loaded:
    name = f"{number}.md"
    row = FileRow(f"file-{number}", "vs", "school", name, name, name, "in_progress", 0.0, 1, 0.0, ANA)
    return Loaded(row, text, "hash")


def machines(fabric: JobFabric, clock: ManualClock | None = None) -> Machines:
    return Machines(fabric, lambda: (RED, BLUE), clock or ManualClock(), ANYWHERE)


async def test_files_are_shared_out_and_no_machine_has_too_many() -> None:
    cluster = Cluster()
    cluster.may_answer.clear()
    parsing = machines(cluster)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(parsing.parse(a_file(number, f"text {number}".encode()))) for number in range(9)]
        while cluster.running < 2 * OF_A_NODE:  # noqa: ASYNC110  what another task does
            await asyncio.sleep(0)
        cluster.may_answer.set()

    texts = [one.chunks[0].text for task in waiting if isinstance(one := task.result(), Parsed)]
    assert texts == [f"text {number}" for number in range(9)]
    assert cluster.most_running == 2 * OF_A_NODE
    assert cluster.asked[: 2 * OF_A_NODE].count(RED) == OF_A_NODE


async def test_what_a_machine_failed_at_is_done_by_another_and_it_rests() -> None:
    cluster, clock = Cluster(), ManualClock()
    cluster.broken = {RED}
    parsing = machines(cluster, clock)

    assert isinstance(await parsing.parse(a_file(1)), Parsed)
    assert isinstance(await parsing.parse(a_file(2)), Parsed)
    assert cluster.asked == [RED, BLUE, BLUE]
    cluster.broken.clear()
    clock.advance(REST_S)
    await parsing.parse(a_file(3))
    assert cluster.asked[-1] == RED


async def test_where_no_machine_takes_it_a_file_is_parsed_on_this_one() -> None:
    cluster = Cluster()
    cluster.broken = {RED, BLUE}
    parsed = await machines(cluster).parse(a_file(1, b"really parsed"))
    assert isinstance(parsed, Parsed)
    assert (parsed.media_type, [one.text for one in parsed.chunks]) == ("text/markdown", ["really parsed"])

    assert set(cluster.asked) == {RED, BLUE}
    cluster.broken.clear()
    cluster.old = True
    assert isinstance(await machines(cluster).parse(a_file(1)), Parsed)
    cluster.down = True
    assert isinstance(await machines(cluster).parse(a_file(2)), Parsed)


async def test_a_large_file_stays_on_this_machine() -> None:
    cluster = Cluster()
    parsed = await machines(cluster).parse(a_file(1, b"a word and another\n\n" * (LARGE_BYTES // 20 + 1)))

    assert isinstance(parsed, Parsed)
    assert cluster.asked == []


async def test_a_file_of_no_known_kind_is_a_problem_that_does_not_pass() -> None:
    jobs = Machines(InProcessJobs(RED), lambda: (RED,), ManualClock(), ANYWHERE)
    problem = await jobs.parse(a_file(1, bytes(range(256)) * 8))

    assert isinstance(problem, Problem)
    assert (problem.code, problem.passing) == ("unsupported_file", False)
