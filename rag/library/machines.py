"""Files parsed on the cluster's machines: several at the same time, on each no more than a few, and on this machine
where no other takes them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence, Set

import msgspec
import structlog

from cluster.jobs import InProcessJobs, JobFabric, JobFabricDownError, JobPart
from inventory.clock import Clock
from nodes.snapshot import NodeId
from rag.library.places import Places
from rag.library.reading import Loaded, Parsed, Problem, ProblemCode
from rag.parsing.wire import ParseAnswer, ParseJob

OF_A_NODE = 2  # files that it parses at the same time: engines are what machines are there for
JOB_S = 180.0  # of a file, which its node bounds itself
REST_S = 30.0  # of a node that failed
LARGE_BYTES = 16_000_000  # of a file that is parsed here: Ray is slow with bytes, and has little room for them
HERE = NodeId("this machine")

log = structlog.get_logger("potluck.rag")
_answers = msgspec.msgpack.Decoder(ParseAnswer)


class Machines:
    """Implements rag.library.reading.Parsing. `nodes` says which may be given work now."""

    def __init__(self, fabric: JobFabric, nodes: Callable[[], Sequence[NodeId]], clock: Clock, places: Places) -> None:
        self._fabric, self._nodes, self._clock, self._places = fabric, nodes, clock, places
        self._here = InProcessJobs(HERE)
        self._busy: Counter[NodeId] = Counter()
        self._rests_until_s: dict[NodeId, float] = {}
        self._freed = asyncio.Condition()

    async def parse(self, loaded: Loaded) -> Parsed | Problem:
        row = loaded.row
        job = msgspec.msgpack.encode(ParseJob(row.name, loaded.content, row.chunking))
        failed: set[NodeId] = set()
        while True:
            node = await self._take(failed, loaded)
            if node == HERE and not self._places.may_be_here(loaded.classes):
                await self._give_back(node)
                return Problem("server_error", "no machine that may have it could parse it", passing=True)
            self._places.saw(None if node == HERE else node, loaded.classes, "parsed", row.file_id)
            try:
                answer = await self._run(node, job)
            finally:
                await self._give_back(node)
            if isinstance(answer, ParseAnswer):
                return _read(answer)
            log.warning("file_not_parsed", node=node, file=row.file_id, reason=answer)
            if node == HERE:
                return Problem("server_error", f"it could not be parsed: {answer}", passing=True)
            self._rests_until_s[node] = self._clock.monotonic_s() + REST_S
            failed.add(node)

    async def _take(self, failed: Set[NodeId], loaded: Loaded) -> NodeId:
        """The least busy of those that could do it and may have it, once it has room; this machine where none does."""
        async with self._freed:
            while True:
                others = self._rested(failed) if len(loaded.content) <= LARGE_BYTES else []
                others = [one for one in others if self._places.may_go(one, loaded.classes)]
                node = min(others or [HERE], key=lambda one: self._busy[one])
                if self._busy[node] < OF_A_NODE:
                    self._busy[node] += 1
                    return node
                await self._freed.wait()

    def _rested(self, failed: Set[NodeId]) -> list[NodeId]:
        now_s = self._clock.monotonic_s()
        return [one for one in self._nodes() if one not in failed and self._rests_until_s.get(one, now_s) <= now_s]

    async def _give_back(self, node: NodeId) -> None:
        async with self._freed:
            self._busy[node] -= 1
            self._freed.notify_all()

    async def _run(self, node: NodeId, job: bytes) -> ParseAnswer | str:
        """Or why there is none."""
        fabric = self._here if node == HERE else self._fabric
        try:
            async with asyncio.timeout(JOB_S):
                (outcome,) = await fabric.run("parse_document", (JobPart(node, job),))
            if outcome.answer is None:
                return outcome.error or "it gave no answer"
            return _answers.decode(outcome.answer)
        except JobFabricDownError as error:
            return str(error)
        except TimeoutError:
            return f"no answer came within {JOB_S:g} s"
        except msgspec.MsgspecError as error:
            return f"its answer cannot be read ({error}); is it of another version?"


def _read(answer: ParseAnswer) -> Parsed | Problem:
    if answer.problem_code is None:
        return Parsed(answer.title, answer.media_type, answer.language, answer.attributes, answer.chunks)
    code: ProblemCode = "unsupported_file" if answer.problem_code == "unsupported_file" else "invalid_file"
    if answer.problem_code == "server_error":
        code = "server_error"
    return Problem(code, answer.problem or answer.problem_code, passing=code == "server_error")
