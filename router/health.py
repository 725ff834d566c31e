"""The gateway's own view of engines: ejected on the first failure, back after their /health answers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from nodes.relay.contract import Address, Failure, Headers
from nodes.relay.exchange import Exchange
from nodes.relay.pool import EndpointPool
from nodes.snapshot import EngineId
from router.decision import Candidate
from router.log import EventLog

FIRST_PROBE_S = 0.1
LONGEST_PROBE_S = 5.0


class EngineHealth:
    """Which engines this gateway does not trust for the moment, whatever the snapshot says."""

    def __init__(self, pool_of: Callable[[Candidate], EndpointPool], log: EventLog) -> None:
        self._pool_of, self._log = pool_of, log
        self._probes: dict[EngineId, _Probe] = {}
        self._reasons: dict[EngineId, str] = {}

    @property
    def ejected(self) -> Mapping[EngineId, str]:
        return self._reasons

    def eject(self, candidate: Candidate, why: str) -> None:
        """From the next decision on. A second failure while ejected changes nothing."""
        if candidate.engine_id in self._probes:
            return
        self._reasons[candidate.engine_id] = f"ejected: {why}"
        self._probes[candidate.engine_id] = _Probe(candidate, self._pool_of(candidate), self._readmit)
        self._log.emit("engine_ejected", engine=candidate.engine_id, node=candidate.node_id, reason=why)

    def follow(self, candidates: Iterable[Candidate]) -> None:
        """Drop what was held against engines that are gone, or were started again since."""
        current = {candidate.engine_id: candidate.generation for candidate in candidates}
        for engine_id, probe in tuple(self._probes.items()):
            if current.get(engine_id) != probe.candidate.generation:
                self._drop(engine_id)

    def close(self) -> None:
        for engine_id in tuple(self._probes):
            self._drop(engine_id)

    def _readmit(self, candidate: Candidate, tries: int) -> None:
        self._drop(candidate.engine_id)
        self._log.emit("engine_readmitted", engine=candidate.engine_id, node=candidate.node_id, tries=tries)

    def _drop(self, engine_id: EngineId) -> None:
        self._reasons.pop(engine_id, None)
        self._probes.pop(engine_id).stop()


class _Probe:
    """Asks one engine for /health, ever more seldom, until it answers 200."""

    def __init__(self, candidate: Candidate, pool: EndpointPool, on_well: Callable[[Candidate, int], None]) -> None:
        self.candidate = candidate
        self._pool, self._on_well = pool, on_well
        self._wait_s = FIRST_PROBE_S
        self._tries = 0
        self._exchange: Exchange | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._wait_s, self._ask)

    def stop(self) -> None:
        self._timer.cancel()
        if self._exchange is not None:
            self._exchange.cancel()

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200:
            self._on_well(self.candidate, self._tries)
        else:
            self._again()

    def on_events(self, events: bytes) -> None:
        """An engine that streams its health is answered by on_stream_end."""

    def on_stream_end(self, held: bytes) -> None:
        self._again()

    def on_failure(self, failure: Failure) -> None:
        self._again()

    def _ask(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
        self._tries += 1
        address = self._pool.address
        self._exchange = Exchange(self._pool, health_request(address), self)
        self._exchange.start()
        # An engine that accepts and says nothing is asked anew when its time is over.
        self._wait_s = min(LONGEST_PROBE_S, 2 * self._wait_s)
        self._timer = self._loop.call_later(max(1.0, self._wait_s), self._ask)

    def _again(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(self._wait_s, self._ask)


def health_request(address: Address) -> bytes:
    return f"GET /health HTTP/1.1\r\nhost: {address.host}:{address.port}\r\n\r\n".encode()
