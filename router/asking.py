"""A call and its engine: which one takes it, its place there, the request as that engine wants it written, and whom the
answer names."""

from collections.abc import Collection

from nodes.snapshot import EngineId
from router.accounting import Reservation
from router.call_context import CallContext, request_id_lines
from router.call_report import CallReport
from router.decision import Candidate, Decision, ModelRoutes
from router.foresight import Question, Trip
from router.guests import Guest, GuestPlace
from router.holding import Hold, hold_of
from router.narrowing import within
from router.request import InferenceRequest, Parsed
from router.scoring import decide, projected_tokens
from router.upstreams import body_for
from router.usage import Usage
from router.waiting_words import worth_waiting
from router.witness import DEEDS


class Place:
    """A call's place on an engine: in the counts, and in what is foreseen of its machine. Left once, however often."""

    __slots__ = ("_context", "_reservation", "_trip")

    def __init__(self, context: CallContext, reservation: Reservation | GuestPlace, trip: Trip | None) -> None:
        self._context, self._reservation, self._trip = context, reservation, trip

    def first_token(self, now_s: float) -> None:
        if self._trip is not None:
            self._context.foresight.first_token(self._trip, now_s)

    def leave(self, usage: Usage | None = None) -> None:
        """With what its engine counted, where the answer is whole."""
        self._reservation.release()
        trip, self._trip = self._trip, None
        if trip is not None:
            counts = (None, None) if usage is None else (usage.completion_tokens, usage.cached_tokens)
            self._context.foresight.ended(trip, self._context.clock.monotonic_s(), *counts)


def choose(
    context: CallContext,
    routes: ModelRoutes,
    request: InferenceRequest,
    question: Question,
    now_s: float,
    tried: Collection[EngineId] = (),
) -> Decision:
    """By what this gateway knows at this moment, among engines of machines that may see it. Guests count for guests
    only."""
    routes = within(context.borders, routes, request.classes)
    ledger, parsed, prospect = context.guests.ledger if request.is_guest else context.ledger, request.parsed, None
    if routes.measured:
        prospect = context.foresight.prospect(question, routes.engine_ids, now_s)
    turn = context.turns.get(routes.view.name, 0)
    return decide(routes, parsed, ledger.in_flight, context.health.ejected, tried, ledger.promised, prospect, turn)


def hold_for(context: CallContext, routes: ModelRoutes, request: InferenceRequest, question: Question) -> Hold | None:
    """Why it has to wait on, where its model serves."""
    if worth_waiting(routes):  # not where it may go, yet
        return "zone"
    return hold_of(choose(context, routes, request, question, context.clock.monotonic_s()))


def take_place(
    context: CallContext, decision: Decision, request: InferenceRequest, question: Question, now_s: float, call: Guest
) -> Place:
    """Of whom was chosen, in the same step as the decision and at its time. Guests leave for others, and nothing is
    foreseen or learnt of them."""
    candidate, parsed = decision.chosen, request.parsed
    assert candidate is not None
    context.witness.saw(candidate.node_id, request.classes, DEEDS[parsed.engine_api], request.request_id)
    tokens = projected_tokens(parsed, candidate.context_tokens) if candidate.cache_tokens else 0
    if request.is_guest:
        return Place(context, context.guests.enter(call, candidate, tokens), None)
    reservation = context.ledger.reserve(candidate.engine_id, tokens, parsed.side is not None)
    foresight, trip = context.foresight, None
    if foresight.knows(candidate.engine_id):
        whole = not streams(candidate, parsed)
        trip = foresight.dispatched(question, candidate.engine_id, now_s, decision.prospect, whole)
    if context.guests:
        context.guests.make_room(candidate.node_id)
    if context.warmer.on:
        context.warmer.placed(candidate, parsed, question, trip)
    return Place(context, reservation, trip)


def streams(candidate: Candidate, parsed: Parsed) -> bool:
    """Whether this engine is asked for a stream: what only reads has one answer."""
    return parsed.stream or (candidate.always_stream and parsed.writes)


def message_for(context: CallContext, candidate: Candidate, request: InferenceRequest) -> bytes:
    """Raises whatever an unreadable secret raises."""
    arrival, parsed = request.arrival, request.parsed
    tenant = arrival.identity.tenant
    body = body_for(candidate, parsed.prompt, streams(candidate, parsed), tenant, context.salt_of)
    trace = b"" if arrival.trace is None else arrival.trace.line()
    return context.upstreams.of(candidate).request(parsed.engine_api, arrival.request_id, body, trace)


def trace_lines(
    context: CallContext, report: CallReport, candidate: Candidate | None, decision: Decision | None
) -> bytes:
    """Header lines that make an answer traceable: our id, what is left of limits, and who served it why."""
    arrival = report.arrival
    lines = request_id_lines(arrival.request_id, arrival.client_request_id) + report.header_lines()
    if candidate is None or decision is None:
        return lines
    where = context.upstreams.of(candidate).header_lines
    reason, queued_ms = decision.reason.encode(), round(report.queued_s * 1000)
    return b"%b%bx-potluck-route-reason: %b\r\nx-potluck-queue-ms: %d\r\n" % (lines, where, reason, queued_ms)
