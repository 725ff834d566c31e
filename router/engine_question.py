"""One question to an engine that is no inference: asked on its pool of connections, answered whole, within a time."""

import asyncio

from nodes.relay.contract import Failure, Headers
from nodes.relay.exchange import Exchange
from router.call_context import CallContext
from router.call_errors import upstream_error
from router.decision import Candidate
from router.engine_errors import translate
from router.errors import ApiError

ANSWER_S = 30.0


class _Answer:
    """Implements nodes.relay.contract.Listener."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.failure: Failure | None = None

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._end((status, body))

    def on_events(self, events: bytes) -> None:
        """Nothing: no such question streams its answer."""

    def on_stream_end(self, held: bytes) -> None:
        self.on_failure(Failure("protocol", "it streamed an answer that should be whole", False))

    def on_failure(self, failure: Failure) -> None:
        self.failure = failure
        self._end((0, b""))

    def _end(self, result: tuple[int, bytes]) -> None:
        if not self.done.done():
            self.done.set_result(result)


async def ask_engine(context: CallContext, candidate: Candidate, path: str, body: bytes, request_id: str) -> bytes:
    """The body of its 200. Raises ApiError: what the engine refused, or 502 to 504 for one that does not answer."""
    upstream, answer = context.upstreams.of(candidate), _Answer()
    exchange = Exchange(upstream.pool, upstream.request_to(path, request_id, body), answer)
    exchange.start()
    try:
        async with asyncio.timeout(ANSWER_S):
            status, said = await answer.done
    except TimeoutError:
        slow = Failure("first_byte_timeout", f"no answer to {path} within {ANSWER_S:g} s", False)
        raise upstream_error(slow, candidate) from None
    finally:
        exchange.cancel()
    if answer.failure is not None:
        raise upstream_error(answer.failure, candidate)
    if status in (401, 403):
        upstream.forget_secret()
    if status == 404:
        raise ApiError(501, "not_supported", f"engine {candidate.engine_id} has no {path}: it is of another version")
    if status != 200:
        raise translate(status, said, candidate.engine_id)
    return said
