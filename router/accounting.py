"""What is under way and what came of it: in-flight counts that cannot leak, and one record per request."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nodes.snapshot import EngineId
from router.cost import Terms
from router.request import Api
from router.side_calls import SideKind

RECORD_VERSION = 1

Outcome = Literal["ok", "client_error", "rate_limited", "no_capacity", "node_lost", "timeout", "cancelled"]


class RequestRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How one request ended. Identity and counts, never a word of the prompt or the answer. Unknown is None."""

    version: int
    request_id: str
    client_request_id: str | None
    api: Api
    tenant: str
    key_id: str
    group: str
    data_class: str
    priority: int
    model_asked: str
    model: str  # "unknown" where the name matched no model
    stream: bool
    arrived_wall_s: float
    duration_s: float
    status: int
    outcome: Outcome
    error_code: str | None
    model_revision: str | None = None
    node_id: str | None = None
    engine_id: str | None = None
    generation: int | None = None
    first_byte_s: float | None = None  # from arrival to the first byte for the client
    attempts: int = 0
    route_reason: str | None = None
    route_terms: Terms = ()
    decision_s: float = 0.0
    queued_s: float = 0.0  # without an engine: for its model, or for its turn
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    user: str | None = None  # for whom a front end asked, by its own id; the subject of a token
    tokens_exact: bool = False  # as the engine counted them; False: estimated from what came before it broke off
    reasoning_tokens: int | None = None  # of the output, where the engine tells
    cache_hit: bool = False  # answered as before, without an engine
    side_call: SideKind | None = None  # what a front end asked for itself
    batch_id: str | None = None  # whose line it was
    pii: str = ""  # kinds of personal data that its prompt held, and how many of each


class RecordSink(Protocol):
    def record(self, records: Sequence[RequestRecord]) -> None: ...


class Reservation:
    """One request's place on an engine. Released once, however often and by whomever it is asked for."""

    __slots__ = ("_aside", "_engine_id", "_ledger", "_tokens")

    def __init__(self, ledger: "Ledger", engine_id: EngineId, tokens: int, aside: bool) -> None:
        self._ledger: Ledger | None = ledger
        self._engine_id, self._tokens, self._aside = engine_id, tokens, aside

    def release(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.give_up(self._engine_id, self._tokens, self._aside)


class Ledger:
    """In-flight requests per engine, and the tokens of a shared cache that they were promised, as this gateway knows
    them without any lag."""

    def __init__(self) -> None:
        self._counts: dict[EngineId, int] = {}
        self._tokens: dict[EngineId, int] = {}
        self._aside: dict[EngineId, int] = {}

    @property
    def in_flight(self) -> Mapping[EngineId, int]:
        return self._counts

    @property
    def promised(self) -> Mapping[EngineId, int]:
        """Tokens, of engines whose requests share a cache."""
        return self._tokens

    @property
    def aside(self) -> Mapping[EngineId, int]:
        """Of those in flight, what front ends asked for themselves."""
        return self._aside

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def reserve(self, engine_id: EngineId, tokens: int = 0, aside: bool = False) -> Reservation:
        """Called in the same step as the decision it follows: no await lies between reading and counting."""
        self._counts[engine_id] = self._counts.get(engine_id, 0) + 1
        if tokens:
            self._tokens[engine_id] = self._tokens.get(engine_id, 0) + tokens
        if aside:
            self._aside[engine_id] = self._aside.get(engine_id, 0) + 1
        return Reservation(self, engine_id, tokens, aside)

    def give_up(self, engine_id: EngineId, tokens: int, aside: bool) -> None:
        """Called by a reservation, once."""
        _subtract(self._counts, engine_id, 1)
        if tokens:
            _subtract(self._tokens, engine_id, tokens)
        if aside:
            _subtract(self._aside, engine_id, 1)


def _subtract(counts: dict[EngineId, int], engine_id: EngineId, count: int) -> None:
    left = counts[engine_id] - count
    if left:
        counts[engine_id] = left
    else:
        del counts[engine_id]
