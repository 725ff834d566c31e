"""Lines of batches as jobs, each on the machine that was chosen for it: carried by the relay, as any request is.

What engines read and write never passes through Ray, which is ten times slower with bytes and knows no queue: a line
goes through the same limits, records and translations as if its client had sent it.
"""

import asyncio
from collections.abc import Sequence

from cluster.jobs import JobKind, JobOutcome, JobPart
from router.batches.values import LineAnswer, decode_job, encode_answer
from router.dispatcher import Dispatcher
from router.ids import sane_client_id
from router.request import Arrival

MADE_WAY = "made way for a request"


class RelayJobs:
    """Implements cluster.jobs.JobFabric for jobs of the kind `answer_line`: a LineJob in, a LineAnswer out. An outcome
    without an answer has made way for somebody."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        if kind != "answer_line":
            return tuple(JobOutcome(part.node_id, None, f"the relay has no job {kind!r}") for part in parts)
        return tuple(await asyncio.gather(*(self._answer(part) for part in parts)))

    async def _answer(self, part: JobPart) -> JobOutcome:
        job, clock = decode_job(part.argument), self._dispatcher.context.clock
        arrival = Arrival(
            request_id=self._dispatcher.ids.next(),
            client_request_id=sane_client_id(job.custom_id.encode()),
            api=job.api,
            identity=job.identity,
            arrived_s=clock.monotonic_s(),
            arrived_wall_s=clock.wall_s(),
            guest_on=part.node_id,
            batch_id=job.batch_id,
            added=frozenset(job.classes),
        )
        writer = LineWriter(arrival.request_id)
        call = self._dispatcher.begin(arrival, job.body, writer)
        try:
            answer = await writer.answer
        finally:
            if call is not None:
                call.client_gone()  # says nothing to a call that has ended
        if answer is None:
            return JobOutcome(part.node_id, None, MADE_WAY)
        return JobOutcome(part.node_id, encode_answer(answer), None)


class LineWriter:
    """Implements nodes.relay.contract.Writer: holds one whole answer."""

    paused = False

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.answer: asyncio.Future[LineAnswer | None] = asyncio.get_running_loop().create_future()

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self._say(LineAnswer(status, self._request_id, body, _retry_after_s(headers)))

    def begin_stream(self, status: int, headers: bytes) -> None:
        raise AssertionError("a line is answered whole")

    def write(self, data: bytes) -> None:
        raise AssertionError("a line is answered whole")

    def end(self) -> None:
        raise AssertionError("a line is answered whole")

    def abort(self) -> None:
        self._say(None)

    def unsent_bytes(self) -> int:
        return 0

    def _say(self, answer: LineAnswer | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


def _retry_after_s(headers: bytes) -> float | None:
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name == b"retry-after" and value.isdigit():
            return float(value)
    return None
