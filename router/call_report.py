"""What a call learns about itself while it runs. Kept small on the hot path; made into a record later, in batches."""

from router.accounting import RECORD_VERSION, Outcome, RequestRecord
from router.decision import Decision
from router.request import Arrival
from router.usage import Usage

_OUTCOMES: dict[int, Outcome] = {429: "rate_limited", 502: "node_lost", 503: "no_capacity", 504: "timeout"}
NO_MODEL = "unknown"  # a client's text never becomes a metric label


def outcome_of(status: int) -> Outcome:
    return _OUTCOMES.get(status, "client_error")


class CallReport:
    """One request's facts. Holds no reference to its body, so that waiting for a batch keeps no prompt in memory."""

    __slots__ = (
        "arrival", "attempts", "decision", "decision_s", "ended_s", "error_code", "events", "first_byte_s", "model",
        "model_asked", "outcome", "status", "stream", "usage",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, model: str, model_asked: str, stream: bool) -> None:
        self.arrival, self.model, self.model_asked, self.stream = arrival, model, model_asked, stream
        self.attempts = 0
        self.decision: Decision | None = None
        self.decision_s = 0.0
        self.first_byte_s: float | None = None  # monotonic
        self.usage: Usage | None = None
        self.events = 0  # of a stream

    def end(self, outcome: Outcome, status: int, error_code: str | None, now_s: float) -> None:
        self.outcome, self.status, self.error_code, self.ended_s = outcome, status, error_code, now_s

    def record(self) -> RequestRecord:
        """The call as it is remembered. Output tokens of a stream that broke off are the events that came."""
        arrival, identity, usage = self.arrival, self.arrival.identity, self.usage
        score = self.decision.ranked[0] if self.decision else None
        chosen = score.candidate if score else None
        return RequestRecord(
            version=RECORD_VERSION,
            request_id=arrival.request_id,
            client_request_id=arrival.client_request_id,
            api=arrival.api,
            tenant=identity.tenant,
            key_id=identity.key_id,
            group=identity.group,
            data_class=identity.data_class,
            priority=0,
            model_asked=self.model_asked[:200],
            model=self.model,
            stream=self.stream,
            arrived_wall_s=arrival.arrived_wall_s,
            duration_s=self.ended_s - arrival.arrived_s,
            status=self.status,
            outcome=self.outcome,
            error_code=self.error_code,
            model_revision=chosen.revision if chosen else None,
            node_id=chosen.node_id if chosen else None,
            engine_id=chosen.engine_id if chosen else None,
            generation=chosen.generation if chosen else None,
            first_byte_s=None if self.first_byte_s is None else self.first_byte_s - arrival.arrived_s,
            attempts=self.attempts,
            route_reason=self.decision.reason if self.decision else None,
            route_terms=score.terms if score else (),
            decision_s=self.decision_s,
            input_tokens=usage.prompt_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else (self.events or None),
            user=identity.user,
            tokens_exact=usage is not None,
        )
