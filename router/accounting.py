"""What is under way and what came of it: in-flight counts that cannot leak, and one record per request."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nodes.snapshot import EngineId
from router.decision import Terms
from router.request import Api

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
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    tokens_exact: bool = False  # False: output tokens are events counted in a stream that ended before its usage came


class RecordSink(Protocol):
    def record(self, records: Sequence[RequestRecord]) -> None: ...


class Reservation:
    """One request's place on an engine. Released once, however often and by whomever it is asked for."""

    __slots__ = ("_counts", "_engine_id")

    def __init__(self, counts: dict[EngineId, int], engine_id: EngineId) -> None:
        self._counts: dict[EngineId, int] | None = counts
        self._engine_id = engine_id
        counts[engine_id] = counts.get(engine_id, 0) + 1

    def release(self) -> None:
        counts, self._counts = self._counts, None
        if counts is None:
            return
        left = counts[self._engine_id] - 1
        if left:
            counts[self._engine_id] = left
        else:
            del counts[self._engine_id]


class Ledger:
    """In-flight requests per engine, as this gateway knows them without any lag."""

    def __init__(self) -> None:
        self._counts: dict[EngineId, int] = {}

    @property
    def in_flight(self) -> Mapping[EngineId, int]:
        return self._counts

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def reserve(self, engine_id: EngineId) -> Reservation:
        """Called in the same step as the decision it follows: no await lies between reading and counting."""
        return Reservation(self._counts, engine_id)
