"""A call and its engine: which one takes it, its place there, the request as that engine wants it written, and whom the
answer names."""

from collections.abc import Collection

from nodes.snapshot import EngineId
from router.accounting import Reservation
from router.call_context import CallContext, request_id_lines
from router.call_report import CallReport
from router.decision import Candidate, Decision, ModelRoutes
from router.request import InferenceRequest, Parsed
from router.scoring import decide, projected_tokens

AHEAD = 1  # beyond its slots, so that none is empty for the length of a way


def choose(context: CallContext, routes: ModelRoutes, parsed: Parsed, tried: Collection[EngineId] = ()) -> Decision:
    """By what this gateway knows at this moment."""
    ledger = context.ledger
    return decide(routes, parsed, ledger.in_flight, context.health.ejected, tried, ledger.promised)


def busy(context: CallContext, decision: Decision) -> bool:
    """Whoever was chosen has as much to do as it can do at once. Where requests wait here, and not at an engine, their
    order is ours, and they go to whoever is best when they begin."""
    if not decision.ranked:
        return False
    candidate = decision.ranked[0].candidate
    return context.ledger.in_flight.get(candidate.engine_id, 0) >= candidate.slots + AHEAD


def reserve(context: CallContext, candidate: Candidate, parsed: Parsed) -> Reservation:
    """In the same step as the decision."""
    tokens = projected_tokens(parsed, candidate.context_tokens) if candidate.cache_tokens else 0
    return context.ledger.reserve(candidate.engine_id, tokens)


def message_for(context: CallContext, candidate: Candidate, request: InferenceRequest) -> bytes:
    """Raises whatever an unreadable secret raises."""
    arrival, parsed = request.arrival, request.parsed
    stream = parsed.stream or candidate.always_stream
    body = parsed.prompt.encode(candidate.served_name, stream)
    if candidate.stream_extra and stream:
        body = body[:-1] + candidate.stream_extra  # we wrote the body: its last byte closes the object
    return context.upstreams.of(candidate).request(arrival.api, arrival.request_id, body)


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
