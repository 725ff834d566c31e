"""The gateway's own view of engines: ejected on the first failure, back after they have made a token.

Nothing less counts: an engine whose core hangs goes on answering /health, and a machine that is wrong about itself goes
on reporting it as ready.
"""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping

from nodes.relay.contract import Failure, Headers
from nodes.relay.exchange import Exchange
from nodes.relay.pool import EndpointPool
from nodes.snapshot import EngineId
from router.decision import Candidate
from router.log import EventLog
from router.request import WRITING

FIRST_PROBE_S = 0.1
LONGEST_PROBE_S = 5.0

ProofOf = Callable[[Candidate], tuple[EndpointPool, bytes]]
"""Where to ask an engine for one streamed token, and the request. May raise what reading its secret raises."""


class EngineHealth:
    """Which engines this gateway does not trust for the moment, whatever the snapshot says."""

    def __init__(self, proof_of: ProofOf, log: EventLog, patience_s: float = 30.0) -> None:
        """A probe waits `patience_s` in a busy engine's queue: more of them would not have their turn sooner."""
        self._proof_of, self._log, self._patience_s = proof_of, log, patience_s
        self._probes: dict[EngineId, _Probe] = {}
        self._reasons: dict[EngineId, str] = {}
        self._listeners: list[Callable[[EngineId, str | None], None]] = []

    @property
    def ejected(self) -> Mapping[EngineId, str]:
        return self._reasons

    def on_change(self, listener: Callable[[EngineId, str | None], None]) -> None:
        """Called with why an engine was ejected, and with None where it is back."""
        self._listeners.append(listener)

    def eject(self, candidate: Candidate, why: str) -> None:
        """From the next decision on. A second failure while ejected changes nothing."""
        if candidate.engine_id in self._probes:
            return
        self._reasons[candidate.engine_id] = f"ejected: {why}"
        self._probes[candidate.engine_id] = _Probe(candidate, self._proof_of, self._patience_s, self._readmit)
        self._log.emit("engine_ejected", engine=candidate.engine_id, node=candidate.node_id, reason=why)
        self._tell(candidate.engine_id, why)

    def proved(self, candidate: Candidate) -> None:
        """A client's request got a token from it: there is no better proof."""
        probe = self._probes.get(candidate.engine_id)
        if probe is not None:
            self._readmit(candidate, probe.tries)

    @property
    def patience_s(self) -> float:
        return self._patience_s

    def hung(self) -> list[tuple[Candidate, str]]:
        """Engines that took a request for one token and have said nothing at all for as long as patience lasts."""
        why = f"a request for one token was not answered within {self._patience_s:g} s"
        return [(probe.candidate, why) for probe in self._probes.values() if probe.unanswered]

    def follow(self, candidates: Iterable[Candidate], engines: Container[EngineId]) -> None:
        """Drop what was held against engines that are gone, or were started again since. One whose machine was out of
        sight for a while has proved nothing by coming back."""
        current = {candidate.engine_id: candidate for candidate in candidates}
        for engine_id, probe in tuple(self._probes.items()):
            candidate = current.get(engine_id, probe.candidate)
            if engine_id not in engines or _start(candidate) != _start(probe.candidate):
                self._drop(engine_id)

    def close(self) -> None:
        for engine_id in tuple(self._probes):
            self._drop(engine_id)

    def _readmit(self, candidate: Candidate, tries: int) -> None:
        self._drop(candidate.engine_id)
        self._log.emit("engine_readmitted", engine=candidate.engine_id, node=candidate.node_id, tries=tries)
        self._tell(candidate.engine_id, None)

    def _tell(self, engine_id: EngineId, why: str | None) -> None:
        for listener in self._listeners:
            listener(engine_id, why)

    def _drop(self, engine_id: EngineId) -> None:
        self._reasons.pop(engine_id, None)
        self._probes.pop(engine_id).stop()


def _start(candidate: Candidate) -> tuple[object, ...]:
    """What differs between two starts of an engine: one that was forgotten counts its generations anew."""
    return candidate.generation, candidate.endpoint, candidate.node_address


class _Probe:
    """Asks one engine for a token, ever more seldom, until it makes one."""

    def __init__(
        self, candidate: Candidate, proof_of: ProofOf, patience_s: float, on_well: Callable[[Candidate, int], None]
    ) -> None:
        self.candidate = candidate
        self.tries = 0
        self.unanswered = False
        self._proof_of, self._patience_s, self._on_well = proof_of, patience_s, on_well
        self._wait_s = FIRST_PROBE_S
        self._exchange: Exchange | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._wait_s, self._ask)

    def stop(self) -> None:
        self._timer.cancel()
        if self._exchange is not None:
            self._exchange.cancel()

    def on_events(self, events: bytes) -> None:
        """The first event of a completion carries its first token; comments and errors carry no choices."""
        if b'"choices"' in events:
            self._on_well(self.candidate, self.tries)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200 and self.candidate.proof not in WRITING:  # that is all such an engine has to say
            self._on_well(self.candidate, self.tries)
        else:
            self._again()

    def on_stream_end(self, held: bytes) -> None:
        self._again()

    def on_failure(self, failure: Failure) -> None:
        self._again()

    def _lose_patience(self) -> None:
        self.unanswered = True
        self._ask()

    def _ask(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
        self.tries += 1
        self._wait_s = min(LONGEST_PROBE_S, 2 * self._wait_s)
        try:
            pool, request = self._proof_of(self.candidate)
        except Exception:  # noqa: BLE001 - an unreadable secret is one more reason to ask again later, whatever its kind
            self._again()
            return
        self._timer = self._loop.call_later(self._patience_s, self._lose_patience)
        self._exchange = Exchange(pool, request, self)
        self._exchange.start()

    def _again(self) -> None:
        self.unanswered = False
        self._timer.cancel()
        self._timer = self._loop.call_later(self._wait_s, self._ask)
