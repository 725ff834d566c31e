"""What every call shares: the gateway's parts, the calls under way, and where records go."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from inventory.catalog import ModelName
from nodes.snapshot import EngineId
from router.accounting import Ledger, RecordSink
from router.borders import Borders
from router.call_parts import CallParts
from router.call_report import CallReport
from router.decision import Candidate, ModelRoutes
from router.decision_record import DecisionSink
from router.errors import ApiError
from router.fair_queue import service
from router.foresight import Foresight
from router.guests import Guests
from router.narrowing import within
from router.outlook import facts_of
from router.pulse import Pulse
from router.rates import Learnt
from router.request import InferenceRequest
from router.salts import Salts
from router.token_ratio import TokenRatios
from router.tracing import Tracer
from router.waiting import WaitingRoom
from router.warmer import Warmer
from router.witness import DEEDS

BATCH = 32
USUAL_ANSWER = 256  # tokens, of one that may be as long or longer


class LiveCall(Protocol):
    @property
    def request(self) -> InferenceRequest: ...

    def look(self, now_s: float) -> None:
        """First pass of a sweep: tell what this call knows of its engine's life."""
        ...

    def sweep(self, now_s: float) -> None: ...

    def waits_on(self, engine_id: EngineId) -> bool:
        """Asked of this engine, and not a byte has come for its client."""
        ...

    def move(self, strays: bool = False) -> None:
        """Begin elsewhere, if another engine can serve; `strays`: or not at all."""
        ...

    def abandon(self, error: ApiError) -> None: ...


class UnderWay(Protocol):
    """What the host of a client tells of it, as long as its answer is not whole."""

    def client_gone(self) -> None:
        """Says nothing to one that has ended."""
        ...

    def writer_paused(self) -> None: ...

    def writer_resumed(self) -> None: ...


class CallContext:
    """Knows every call under way, so that a stopping gateway can wait for them or end them."""

    def __init__(
        self, parts: CallParts, sinks: Sequence[RecordSink], decision_sinks: Sequence[DecisionSink] = ()
    ) -> None:
        self.settings, self.clock, self.log = parts.settings, parts.clock, parts.log
        self.upstreams, self.health, self.metrics = parts.upstreams, parts.health, parts.metrics
        self._table, self.salt_of, self.several_tenants = parts.table, parts.salt_of, parts.several_tenants
        self.ledger = Ledger()
        self.turns: dict[ModelName, int] = {}  # requests that went to an engine: policies have no other chance
        self.foresight = Foresight()
        self.learnt: dict[EngineId, Learnt] = {}  # of engines that are here or have been
        self.pulse = Pulse()
        self.ratios = TokenRatios()
        self.room = WaitingRoom(parts.settings, parts.table, parts.clock, parts.metrics.waited)
        self.guests = Guests(self.foresight)
        self.witness = parts.witness
        self.warmer = Warmer(parts, self.foresight, self.room, self.witness)
        self._sinks, self._decision_sinks = sinks, decision_sinks
        self.salts = Salts(parts.salt_of)
        self.tracer: Tracer | None = None  # where traces are kept
        self._ended: list[CallReport] = []
        parts.sweeper.watch(self)
        self._live: dict[LiveCall, None] = {}
        self._before = Borders()  # as they were until the last snapshot
        self._on_idle: asyncio.Future[None] | None = None

    @property
    def live(self) -> tuple[LiveCall, ...]:
        return tuple(self._live)

    async def wait_until_idle(self) -> None:
        """Until no call is under way. One task at a time may wait."""
        if self._live:
            self._on_idle = asyncio.get_running_loop().create_future()
            await self._on_idle

    def sweep(self, now_s: float) -> None:
        self.flush()
        self.foresight.look_again(self.clock.monotonic_s())
        self.pulse.begin_sweep()
        live = self.live
        for call in live:
            call.look(now_s)
        for engine_id, slots in self._table().leaving:
            self._move_waiting(engine_id, slots)
        for call in live:
            call.sweep(now_s)
        self.room.sweep(now_s)
        self.warmer.look()

    def _move_waiting(self, engine_id: EngineId, slots: int) -> None:
        """An engine that leaves finishes what it works on; what waits in its queue, the youngest, begins elsewhere."""
        queued = self.ledger.in_flight.get(engine_id, 0) - slots
        if queued > 0:
            for call in [call for call in self.live if call.waits_on(engine_id)][-queued:]:
                call.move()

    def opened(self, call: LiveCall) -> None:
        self._live[call] = None

    def served(self, report: CallReport, request: InferenceRequest) -> None:
        """It goes to an engine: its user has had so much, until the end tells how much in truth. A guest takes nothing
        from anybody."""
        if request.is_guest:
            return
        self.turns[request.model] = self.turns.get(request.model, 0) + 1
        limit = request.parsed.output_tokens_limit
        answer = USUAL_ANSWER if limit is None else min(limit, USUAL_ANSWER)
        expected = service(request.prompt_tokens, answer)
        report.charged += expected
        self.room.charge(request.model, request.arrival.identity, expected)

    def handed_on(self, call: LiveCall) -> None:
        """It was something else until here: another call goes on, or has ended already."""
        self._live.pop(call, None)
        self._idle()

    def closed(self, call: LiveCall, report: CallReport) -> None:
        self._live.pop(call, None)
        report.settle(self.ratios)
        if report.keeper is not None:
            report.keeper.ended(report)
            report.keeper = None
        if report.charged:
            more = service(*report.taken()) - report.charged
            self.room.charge(ModelName(report.model), report.arrival.identity, more)
        self.room.look_soon(ModelName(report.model))
        self._idle()
        self.note(report)

    def _idle(self) -> None:
        if self._on_idle is not None and not self._live and not self._on_idle.done():
            self._on_idle.set_result(None)

    def note(self, report: CallReport) -> None:
        """Records are made a batch at a time: the same code in a row costs a third of what it costs in between."""
        self._ended.append(report)
        if len(self._ended) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Give the sinks what has ended. Called for a full batch, on each sweep, and before anybody reads."""
        if self._ended:
            records = [report.record(self.ratios) for report in self._ended]
            if self._decision_sinks:
                self._tell_decisions()
            if self.tracer is not None:
                self.tracer.ended(self._ended, records)
            self._ended.clear()
            for sink in self._sinks:
                sink.record(records)

    def _tell_decisions(self) -> None:
        notes = [note for report in self._ended if (note := report.note()) is not None]
        for sink in self._decision_sinks:
            sink.decided(notes)

    def follow(self, candidates: tuple[Candidate, ...]) -> None:
        table = self._table()
        self._recall(table.borders)
        self.remember()
        self.foresight.follow(facts_of(candidates, self.learnt))
        self.health.follow(candidates, table.engines)
        self.upstreams.follow(candidates)
        ages = [(candidate.engine_id, candidate.progress_age_s) for candidate in candidates]
        self.pulse.follow(ages, table.lost, self.clock.monotonic_s())
        self.room.follow()
        self.warmer.follow()

    def _recall(self, borders: Borders) -> None:
        """Classes or machines are elsewhere than before. What is on its way to a machine that may not see it any more
        does not get there; what is bound only now is noted where it may stay."""
        before, self._before = self._before, borders
        if (before.rules.zones, before.places.zones) == (borders.rules.zones, borders.places.zones):
            return
        for engine_id, node_id in {**before.places.nodes, **borders.places.nodes}.items():
            for call in [call for call in self.live if call.waits_on(engine_id)]:
                request = call.request
                zones = borders.zones_of(request.classes)
                if not borders.allows(node_id, zones):
                    call.move(strays=True)
                elif before.zones_of(request.classes) is None:
                    self.witness.saw(node_id, request.classes, DEEDS[request.parsed.engine_api], request.request_id)
        for node_id in {*before.places.zones, *borders.places.zones}:
            self.guests.make_room(node_id)  # nobody waits for them: they begin anew

    def remember(self) -> Mapping[EngineId, Learnt]:
        """All that was learnt until now."""
        self.learnt.update(self.foresight.learnt())
        return self.learnt

    def routes_of(self, request: InferenceRequest) -> ModelRoutes | None:
        """Where it may go, by the last snapshot: a call may have waited for longer than the one before it held."""
        routes = self._table().models.get(request.model)
        return None if routes is None else within(self.borders, routes, request.classes)

    @property
    def borders(self) -> Borders:
        """Of the last snapshot."""
        return self._table().borders


def request_id_lines(request_id: str, client_request_id: str | None) -> bytes:
    if client_request_id is None:
        return f"x-request-id: {request_id}\r\n".encode()
    return f"x-request-id: {request_id}\r\nx-client-request-id: {client_request_id}\r\n".encode()
