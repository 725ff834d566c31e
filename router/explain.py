"""Why a request went where it went, from the record of its decision: ranking, rejections, margin, and what would have
turned it. The same for a decision that was only asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import asdict

from cluster.router_policy import RouterPolicy
from nodes.snapshot import EngineId, NodeId
from router.changes import Change, changes
from router.cost import Terms
from router.decision import RouteReason
from router.decision_record import DecisionRecord, Row, contest_of, terms_of
from router.ranking import Contender, rank, tie_limit_s

UNITS: dict[RouterPolicy, str] = {
    "seconds": "s",
    "round-robin": "places",
    "least-requests": "requests",
    "power-of-two": "requests",
    "weighted-sum": "points",
}
UNMEASURED = "requests per slot"  # stand for seconds


class Ranked(msgspec.Struct, frozen=True):
    """A candidate, the best first. What is not measured is null."""

    engine_id: EngineId
    node_id: NodeId
    generation: int
    total: float  # what its terms sum to
    terms: dict[str, float]
    slots: int
    in_flight: int
    cached_tokens: int | None  # of the prompt
    home: bool | None  # its session was served here last
    strangers: int | None  # requests that it says it has besides, from elsewhere
    strangers_age_s: float | None  # how long ago it said so


class Rejected(msgspec.Struct, frozen=True):
    engine_id: EngineId
    why: str


class Flip(Change, frozen=True):
    """A single change that makes another win: as data, and in words."""

    words: str


class Explanation(msgspec.Struct, frozen=True):
    """`chosen` is null where nobody can serve, `margin` where nobody else was left."""

    request_id: str | None  # null: it was only asked for
    decided_wall_s: float
    model: str
    policy: RouterPolicy
    reason: RouteReason
    chosen: EngineId | None
    node_id: NodeId | None
    prompt_tokens: int | None
    output_tokens: float | None  # expected
    unit: str  # of totals, terms and margin
    ranking: tuple[Ranked, ...]
    rejected: tuple[Rejected, ...]
    candidates: int  # that passed the filters
    rejected_more: int  # that the record had no room for
    margin: float | None  # to the runner-up; below 0 where it was cheaper, but as good as equal
    as_good_as_equal: bool  # so that the session's home, then the less busy, then the lower id decides
    smallest: Flip | None
    flips: tuple[Flip, ...]  # the least of each kind for each engine, the smallest first
    predicted_s: float | None  # until the first token
    observed_s: float | None
    tries: int
    side_call: str | None = None  # what a front end asked for itself, by what that is known, and in whose place
    documents: str | None = None  # what was added to its prompt from people's documents


def explain(record: DecisionRecord) -> Explanation:
    contest = contest_of(record)
    places = {place.engine_id: place for place in rank(contest)}
    ranking = [
        _ranked(row, terms_of(record, row) or places[row.engine_id].terms, contender)
        for row, contender in zip(record.rows, contest.contenders, strict=True)
    ]
    names = names_of(record.rows)
    same = bool(places) and next(iter(places)) == record.rows[0].engine_id  # else other rules chose than these
    flips = tuple(Flip(**asdict(change), words=_words(change, names)) for change in changes(contest)) if same else ()
    ask, first = contest.ask, record.rows[0] if record.rows else None
    margin = ranking[1].total - ranking[0].total if len(ranking) > 1 else None
    tied = record.policy == "seconds" and ask is not None and margin is not None
    return Explanation(
        request_id=record.request_id or None,
        decided_wall_s=record.decided_wall_s,
        model=record.model,
        policy=record.policy,
        reason=record.reason,
        chosen=first.engine_id if first else None,
        node_id=first.node_id if first else None,
        prompt_tokens=ask.prompt_tokens if ask else None,
        output_tokens=ask.output_tokens if ask else None,
        unit=UNMEASURED if record.policy == "seconds" and ask is None else UNITS[record.policy],
        ranking=tuple(ranking),
        rejected=tuple(Rejected(engine_id, why) for engine_id, why in record.rejected),
        candidates=record.of,
        rejected_more=record.rejected_more,
        margin=margin,
        as_good_as_equal=tied and ranking[1].total <= tie_limit_s(min(one.total for one in ranking)),
        smallest=flips[0] if flips else None,
        flips=flips,
        predicted_s=record.predicted_s,
        observed_s=record.observed_s,
        tries=record.tries,
        side_call=record.side_call or None,
        documents=record.documents or None,
    )


def _ranked(row: Row, terms: Terms, contender: Contender) -> Ranked:
    summed: dict[str, float] = {}
    for name, value in terms:
        summed[name] = summed.get(name, 0.0) + value
    standing = contender.standing
    return Ranked(
        engine_id=row.engine_id,
        node_id=row.node_id,
        generation=row.generation,
        total=row.total_s,
        terms=summed,
        slots=row.slots,
        in_flight=row.in_flight,
        cached_tokens=standing.cached_tokens if standing is not None else None,
        home=standing.home if standing is not None else None,
        strangers=standing.strangers if standing is not None else None,
        strangers_age_s=standing.strangers_age_s if standing is not None else None,
    )


def names_of(rows: Sequence[Row] | Sequence[Ranked]) -> Mapping[EngineId, str]:
    """What people call an engine: its machine, where it is the only one there."""
    there = Counter(row.node_id for row in rows)
    return {row.engine_id: row.node_id if there[row.node_id] == 1 else row.engine_id for row in rows}


def _words(change: Change, names: Mapping[EngineId, str]) -> str:
    wins, other = f"{names[change.winner]} wins if", names[change.engine_id]
    requests = "request" if change.amount == 1 else "requests"
    if change.kind == "fewer_requests":
        return f"{wins} it had {change.amount:,.0f} fewer {requests} in flight"
    if change.kind == "more_requests":
        return f"{wins} {other} had {change.amount:,.0f} more {requests} in flight"
    if change.kind == "cached_tokens":
        return f"{wins} {change.amount:,.0f} more tokens of the prompt were cached there"
    if change.kind == "reading_rate":
        return f"{wins} its reading rate were {change.amount:.2f}x"
    return f"{wins} {other} waited {change.amount:.3f} s longer"
