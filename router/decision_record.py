"""A decision as it is remembered: who stood where, what each cost, who was left out, and what came of it.

Written so that it can be decided again: numbers are kept to the last bit. Nothing of a prompt is in it but its length.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec
from msgspec.structs import astuple, replace

from cluster.router_policy import RouterPolicy
from nodes.rates import Rates
from nodes.snapshot import EngineId, NodeId
from router.cost import Ask, Standing, Terms, seconds, until_first_token_s
from router.decision import Candidate, Decision, Rejection, RouteReason
from router.ranking import Contender, Contest, Place
from router.rates import Bias

DECISION_VERSION = 1
LIMIT_BYTES = 2000  # of one, with the names that stand beside it
SHORT_REASON = 48  # characters
FEW_REJECTED = 8

EXACT = 2**53  # whole floats below it are the same as integers

Number = int | float | bool
Amount = int | float  # as it was: a term that is nothing takes one byte
_PLAIN = tuple(name for name in Standing.__struct_fields__ if name not in ("rates", "bias"))
_pack = msgspec.msgpack.Encoder().encode


class DecisionNote(msgspec.Struct, frozen=True, gc=False):
    """What a call leaves behind of its decision, to be written down."""

    request_id: str
    decided_wall_s: float
    model: str
    decision: Decision
    tries: int = 1
    observed_s: float | None = None  # from sending it to the first token
    side_call: str = ""  # what a front end asked for itself, and by what that is known
    documents: str = ""  # what was added to its prompt from people's documents, counted


class DecisionSink(Protocol):
    def decided(self, notes: Sequence[DecisionNote]) -> None: ...


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A router.cost.Standing, flat: fields may be added to the end of each part."""

    rates: tuple[Number, ...]
    bias: tuple[Number, ...]
    rest: tuple[Number, ...]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A candidate, in the order of the ranking."""

    engine_id: EngineId
    node_id: NodeId
    generation: int
    slots: int
    in_flight: int
    place: int
    cache_tokens: int
    held_tokens: int
    total_s: Amount
    terms: tuple[Amount, ...]  # by the record's names, without standing terms; none where they did not fit
    standing_terms: Terms = ()
    standing: Seen | None = None


class DecisionRecord(msgspec.Struct, frozen=True, array_like=True):
    """One decision. The first row was chosen; what is kept on disk has one."""

    version: int
    request_id: str
    decided_wall_s: float
    model: str
    policy: RouterPolicy
    turn: int
    of: int  # candidates there were; fewer rows where more did not fit
    ask: tuple[int, Amount, bool] | None  # tokens of prompt and answer, multi-turn; None where nothing is measured
    reason: RouteReason
    tries: int
    names: tuple[str, ...]  # of terms
    rows: tuple[Row, ...]
    rejected: tuple[Rejection, ...]
    rejected_more: int = 0  # that did not fit
    predicted_s: float | None = None  # until the first token, on the first row's engine
    observed_s: float | None = None
    side_call: str = ""
    documents: str = ""

    @property
    def node_id(self) -> NodeId:
        return self.rows[0].node_id


def record_of(note: DecisionNote) -> DecisionRecord:
    """All of it, as long as it may be."""
    return decoded(_pack(_values(note, predicted_s(note.decision))))


def packed(note: DecisionNote, predicted: float | None, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The record of it as `encoded` would write it, made at once: one is made of each request, and most fit."""
    body = _pack(_values(note, predicted))
    return body if len(body) <= limit_bytes else encoded(decoded(body), limit_bytes)


def _values(note: DecisionNote, predicted: float | None) -> tuple[object, ...]:
    """In the order of DecisionRecord, its rows in that of Row: an array is written alike whatever it was made of."""
    decision, contest = note.decision, note.decision.contest
    ask, entrants, seats, names = contest.ask, decision.entrants, contest.contenders, tuple[str, ...]()
    if decision.places:
        first = decision.places[0]
        names = first.names[: len(first.names) - len(seats[first.at].standing_terms)]
    return (
        DECISION_VERSION,
        note.request_id,
        note.decided_wall_s,
        note.model,
        contest.policy,
        contest.turn,
        contest.of,
        None if ask is None else astuple(ask),
        decision.reason,
        note.tries,
        names,
        [_row(place, entrants[place.at][0], seats[place.at], len(names)) for place in decision.places],
        decision.rejected,
        0,
        predicted,
        note.observed_s,
        note.side_call,
        note.documents,
    )


def predicted_s(decision: Decision) -> float | None:
    """Until the first token, whichever policy chose; None where nothing is measured."""
    prospect = decision.prospect
    if prospect is None or not decision.places:
        return None
    first = decision.places[0]
    if decision.contest.policy == "seconds":
        return until_first_token_s(first.amounts)
    return until_first_token_s(seconds(prospect.ask, prospect.standings[first.engine_id]))


def contest_of(record: DecisionRecord) -> Contest:
    """What the ranking came from, as far as it was kept."""
    ask = None if record.ask is None else Ask(*record.ask)
    return Contest(record.policy, record.turn, record.of, ask, [_contender(row) for row in record.rows])


def terms_of(record: DecisionRecord, row: Row) -> Terms | None:
    """As they were recorded; None where they did not fit."""
    if not row.terms:
        return None
    return (*zip(record.names, row.terms, strict=True), *row.standing_terms)


def encoded(record: DecisionRecord, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """In so many bytes at most. What does not fit is left out in this order: words of reasons beyond the first,
    rejections beyond a few, terms from the end of the ranking (they follow from the rest), all rejections, candidates
    from the end of the ranking. So its winner stays, and whoever replays it finds the same.
    """
    body = _pack(record)
    if len(body) <= limit_bytes:
        return body
    for shorter in _shorter(record):
        body = _pack(shorter)
        if len(body) <= limit_bytes:
            return body
    return body


def decoded(body: bytes | bytearray) -> DecisionRecord:
    """Raises msgspec.DecodeError for what no potluck wrote."""
    return _unpack(body)


def _row(place: Place, candidate: Candidate, seat: Contender, named: int) -> tuple[object, ...]:
    return (
        place.engine_id,
        candidate.node_id,
        candidate.generation,
        seat.slots,
        seat.in_flight,
        seat.place,
        seat.cache_tokens,
        seat.held_tokens,
        place.total_s,
        place.amounts[:named],
        seat.standing_terms,
        _flat(seat.standing) if seat.standing is not None else None,
    )


def _flat(standing: Standing) -> tuple[object, ...]:
    """In the order of Seen and `_PLAIN`. Seconds that are 0 are an integer in most standings, which takes one byte."""
    values = astuple(standing)
    return _numbers(standing.rates), astuple(standing.bias), values[1:3] + values[4:]


@lru_cache(maxsize=256)
def _numbers(rates: Rates) -> msgspec.Raw:
    """As they are written: in fewer bytes where they are whole."""
    numbers = [
        int(value) if type(value) is float and value.is_integer() and -EXACT < value < EXACT else value
        for value in astuple(rates)
    ]
    return msgspec.Raw(_pack(numbers))


def _shorter(record: DecisionRecord) -> Iterator[DecisionRecord]:
    """Ever less of it, in the order that `encoded` promises."""
    rows, rejected = record.rows, tuple((engine_id, why[:SHORT_REASON]) for engine_id, why in record.rejected)
    yield replace(record, rejected=rejected)
    more = max(len(rejected) - FEW_REJECTED, 0)
    yield (record := replace(record, rejected=rejected[:FEW_REJECTED], rejected_more=more))
    for kept in range(len(rows) - 1, 0, -1):
        rows = (*rows[:kept], replace(rows[kept], terms=()), *rows[kept + 1 :])
        yield (record := replace(record, rows=rows))
    yield (record := replace(record, rejected=(), rejected_more=len(rejected)))
    for kept in range(len(rows) - 1, 0, -1):
        yield replace(record, rows=rows[:kept])


def _contender(row: Row) -> Contender:
    standing, seen = None, row.standing
    if seen is not None:
        rates, bias = Rates(*seen.rates), Bias(*seen.bias)  # type: ignore[arg-type]  # as `_flat` took them apart
        rest = dict(zip(_PLAIN, seen.rest, strict=False))
        standing = Standing(rates, bias=bias, **rest)  # type: ignore[arg-type]  # likewise
    return Contender(
        row.engine_id,
        row.slots,
        row.in_flight,
        standing,
        row.standing_terms,
        row.place,
        row.cache_tokens,
        row.held_tokens,
    )


_unpack = msgspec.msgpack.Decoder(DecisionRecord).decode
