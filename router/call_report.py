"""What a call learns about itself while it runs. Kept small on the hot path; made into a record later, in batches."""

from typing import NamedTuple, Protocol

import msgspec

from inventory.catalog import ModelRef
from router.accounting import RECORD_VERSION, Outcome, RequestRecord
from router.decision import Decision
from router.decision_record import DecisionNote
from router.limits import Permit
from router.pii_guard import Marks
from router.request import Arrival, Parsed
from router.side_calls import SideCall
from router.token_ratio import TokenRatios
from router.trace_context import TraceContext
from router.usage import Progress, StreamTap, Tokens, Usage

_OUTCOMES: dict[int, Outcome] = {429: "rate_limited", 502: "node_lost", 503: "no_capacity", 504: "timeout"}
SHORT_WHY = 160  # characters: the record of a decision has room for so much
MADE_WAY = "made_way"  # how a guest ends when somebody comes
NO_MODEL = "unknown"  # a client's text never becomes a metric label


def outcome_of(status: int) -> Outcome:
    return _OUTCOMES.get(status, "client_error")


class Keeper(Protocol):
    """Whoever may keep the answer of a call."""

    def ended(self, report: "CallReport") -> None: ...


class Added(NamedTuple):
    """What became of the search in documents, in words for people, and the passages' sources where the answer itself
    cannot name them."""

    words: str
    sources: str = ""

    def header_lines(self) -> bytes:
        lines = f"x-potluck-documents: {self.words}\r\n"
        return (f"{lines}x-potluck-sources: {self.sources}\r\n" if self.sources else lines).encode()


class CallReport(msgspec.Struct, gc=False, eq=False):
    """One request's facts. Holds no reference to its body, so that waiting for a batch keeps no prompt in memory."""

    arrival: Arrival
    model: str
    model_asked: str
    stream: bool
    attempts: int = 0
    decision: Decision | None = None
    decision_s: float = 0.0
    first_byte_s: float | None = None  # monotonic
    first_token_s: float | None = None  # from sending it to the engine that answered
    usage: Usage | None = None
    events: int = 0  # of a stream, that carried tokens
    progress: Progress | None = None
    characters: int = 0
    prompts: int = 1
    tokens: Tokens | None = None  # once they were settled
    permit: Permit | None = None  # where limits are set
    priority: int = 0
    queued_s: float = 0.0  # without an engine
    charged: float = 0.0  # to its user's share, as it was expected
    keeper: Keeper | None = None
    cached: bool | None = None  # it was answered before; None: nobody looked
    side: SideCall | None = None
    marks: Marks | None = None  # of personal data in its prompt; None: nobody looked
    documents: Added | None = None  # what people's documents added to its prompt; None: nobody looked
    resolved: str = ""  # why another model answers than the one that was asked for by name
    outcome: Outcome = "ok"  # as it ended, from here on
    status: int = 0
    error_code: str | None = None
    ended_s: float = 0.0

    @property
    def trace(self) -> TraceContext | None:
        return self.arrival.trace

    def end(self, outcome: Outcome, status: int, error_code: str | None, now_s: float) -> None:
        self.outcome, self.status, self.error_code, self.ended_s = outcome, status, error_code, now_s

    def answered_by(self, ref: ModelRef) -> bool:
        """It ended well, and on an engine with these weights."""
        chosen = self.decision.chosen if self.decision is not None else None
        return self.outcome == "ok" and chosen is not None and chosen.revision == str(ref)

    def header_lines(self) -> bytes:
        """What is left of limits, whether it was answered before, and which model was chosen why, where that is not the
        name that was asked for."""
        lines = self.permit.header_lines() if self.permit is not None else b""
        if self.cached is not None:
            lines += b"x-potluck-cache: hit\r\n" if self.cached else b"x-potluck-cache: miss\r\n"
        if self.documents is not None:
            lines += self.documents.header_lines()
        if self.marks is not None:
            lines += self.marks.header_lines()
        return lines + _chosen(self.model, self.resolved) if self.resolved else lines

    def heard(self, parsed: Parsed, tap: StreamTap | None) -> None:
        """What its engine sent of a stream, whole or not."""
        self.characters, self.prompts, self.side = parsed.prompt_characters, parsed.prompts, parsed.side
        if self.usage is not None and not parsed.writes:
            self.usage = Usage(self.usage.prompt_tokens, 0)  # engines that write nothing do not all say so
        if tap is not None:
            self.usage, self.events = tap.usage(parsed.choices, parsed.prompts), tap.events
            self.progress = tap.progress() if self.usage is None else None

    def settle(self, ratios: TokenRatios) -> None:
        """Count what it took in truth."""
        if self.permit is not None:
            self.tokens = self._count(ratios)
            took = (self.tokens.input or 0) + (self.tokens.output or 0)
            left = self.attempts and self.outcome == "cancelled"  # a whole answer of which nothing came was work too
            if self.error_code == MADE_WAY:  # it will be done again
                took, left = 0, 0
            self.permit.settle(self.permit.prompt_tokens if left and not took else took)

    def taken(self) -> tuple[int, int]:
        """Tokens of prompt and answer; where it broke off, of the answer only what came."""
        usage = self.usage
        return (0, self.events) if usage is None else (usage.prompt_tokens or 0, usage.completion_tokens or 0)

    def _count(self, ratios: TokenRatios) -> Tokens:
        """As its engine counted. Of an answer that broke off: what its events come to; of its prompt, what the engine
        told on the way, or what its length comes to. Nothing is known of one that never began."""
        usage, progress, model = self.usage, self.progress, self.model
        engine_id = self.decision.places[0].engine_id if self.decision else ""
        if usage is not None:
            if self.prompts == 1:
                ratios.prompts.learn(model, self.characters, usage.prompt_tokens or 0)
            ratios.events.learn(engine_id, self.events, usage.completion_tokens or 0)
            return Tokens(
                usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens, exact=True
            )
        output = ratios.events.tokens_of(engine_id, self.events) or None
        if progress is not None:
            return Tokens(progress.total, progress.cache, output)
        prompt = self.prompts * ratios.prompts.tokens_of(model, self.characters) if self.events else 0
        return Tokens(prompt or None, None, output)

    def note(self) -> DecisionNote | None:
        """Of its last decision, where one chose an engine."""
        if self.decision is None:
            return None
        arrival, at_s = self.arrival, self.arrival.arrived_wall_s + self.queued_s
        tries, aside = max(self.attempts, 1), self._aside()
        documents = self.documents.words if self.documents is not None else ""
        return DecisionNote(
            arrival.request_id, at_s, self.model, self.decision, tries, self.first_token_s, aside, documents
        )

    def _aside(self) -> str:
        """For people who ask why it went there."""
        if self.side is None:
            return ""
        return (self.resolved or f"{self.side.kind}: {self.side.why}")[:SHORT_WHY]

    def record(self, ratios: TokenRatios) -> RequestRecord:
        """The call as it is remembered."""
        arrival, identity, tokens = self.arrival, self.arrival.identity, self.tokens or self._count(ratios)
        decision = self.decision
        chosen = decision.chosen if decision else None
        return RequestRecord(  # by position: names would cost ten times as much, 1 µs a request
            RECORD_VERSION,
            arrival.request_id,
            arrival.client_request_id,
            arrival.api,
            identity.tenant,
            identity.key_id,
            identity.group,
            identity.data_class,
            self.priority,
            self.model_asked[:200],
            self.model,
            self.stream,
            arrival.arrived_wall_s,
            self.ended_s - arrival.arrived_s,
            self.status,
            self.outcome,
            self.error_code,
            chosen.revision if chosen else None,
            chosen.node_id if chosen else None,
            chosen.engine_id if chosen else None,
            chosen.generation if chosen else None,
            None if self.first_byte_s is None else self.first_byte_s - arrival.arrived_s,
            self.attempts,
            decision.reason if decision else None,
            decision.places[0].terms if decision else (),
            self.decision_s,
            round(self.queued_s, 3) if self.queued_s else 0.0,
            tokens.input,
            tokens.cached,
            tokens.output,
            identity.user,
            tokens.exact,
            tokens.reasoning,
            self.cached is True,
            self.side.kind if self.side is not None else None,
            arrival.batch_id,
            self.marks.words if self.marks is not None else "",
        )


def _chosen(model: str, why: str) -> bytes:
    return f"x-potluck-model: {model}\r\nx-potluck-model-reason: ".encode() + why.encode("ascii", "replace") + b"\r\n"
