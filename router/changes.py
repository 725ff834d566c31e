"""What had to be otherwise for another engine to win: the least of each single change, found by deciding anew.

Every change that is tried makes a rival cheaper, or the winner dearer, the more so the larger it is; so the least
that turns a decision is found by halving.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Literal

import msgspec
from msgspec.structs import replace

from nodes.snapshot import EngineId
from router.cost import Standing
from router.ranking import Contender, Contest, Place, rank, tie_limit_s

Kind = Literal["fewer_requests", "cached_tokens", "reading_rate", "longer_wait", "more_requests"]
STEPS: Mapping[Kind, float] = {  # how finely each is looked for
    "fewer_requests": 1,
    "cached_tokens": 1,
    "reading_rate": 0.01,
    "longer_wait": 0.001,
    "more_requests": 1,
}
MOST_RATE = 100.0
MOST_REQUESTS = 100_000


class Change(msgspec.Struct, frozen=True):
    """The least of its kind, of one engine, that makes `winner` win. `amount` is requests, tokens of the prompt, how
    many times as fast, or seconds; `share` is what it comes to beside what there is, so that kinds can be compared."""

    kind: Kind
    engine_id: EngineId
    amount: float
    share: float
    winner: EngineId


def changes(contest: Contest) -> tuple[Change, ...]:
    """Smallest share first; empty where no single one of these turns it."""
    places = rank(contest)
    if len(places) < 2:
        return ()
    found = [change for kind in STEPS for place in places if (change := _least(contest, places, kind, place))]
    return tuple(sorted(found, key=lambda one: (one.share, one.kind, one.engine_id)))


def changed(contest: Contest, kind: Kind, engine_id: EngineId, steps: int) -> Contest:
    """The contest with so much of one thing otherwise."""
    contenders = [
        _CHANGES[kind](contender, steps * STEPS[kind]) if contender.engine_id == engine_id else contender
        for contender in contest.contenders
    ]
    return replace(contest, contenders=contenders)


def _least(contest: Contest, places: list[Place], kind: Kind, place: Place) -> Change | None:
    won, engine_id, contender = places[0].engine_id, place.engine_id, contest.contenders[place.at]
    own = engine_id == won
    if own != (kind in ("longer_wait", "more_requests")):
        return None

    def turns(steps: int) -> bool:
        first = rank(changed(contest, kind, engine_id, steps))[0].engine_id
        return first != won if own else first == engine_id

    steps = _least_steps(turns, _most_steps(contest, places, kind, contender))
    if steps is None:
        return None
    amount = round(steps * STEPS[kind], 3) + (kind == "reading_rate")
    winner = rank(changed(contest, kind, engine_id, steps))[0].engine_id
    return Change(kind, engine_id, amount, _share(contest, kind, contender, place, amount), winner)


def _least_steps(turns: Callable[[int], bool], most: int) -> int | None:
    if most < 1 or not turns(most):
        return None
    low, high = 0, most  # it does not turn at low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turns(middle) else (middle, high)
    return high


def _most_steps(contest: Contest, places: list[Place], kind: Kind, contender: Contender) -> int:
    """0 where there is nothing to change."""
    standing = contender.standing
    if kind == "fewer_requests":
        return contender.in_flight if standing is None else standing.in_flight
    if kind == "more_requests":
        return MOST_REQUESTS if standing is None else 0
    if standing is None or contest.ask is None:
        return 0
    if kind == "cached_tokens":
        return contest.ask.prompt_tokens - 1 - standing.cached_tokens
    if kind == "reading_rate":
        return round((MOST_RATE - 1) / STEPS[kind])
    others_s = min(place.total_s for place in places[1:])
    return ceil((tie_limit_s(others_s) - places[0].total_s) / STEPS[kind]) + 1


def _share(contest: Contest, kind: Kind, contender: Contender, place: Place, amount: float) -> float:
    standing = contender.standing
    if kind == "reading_rate":
        return 1.0 - 1.0 / amount
    if kind == "longer_wait":
        return amount / place.total_s if place.total_s else amount
    if kind == "cached_tokens" and standing is not None and contest.ask is not None:
        return amount / (contest.ask.prompt_tokens - standing.cached_tokens)
    in_flight = contender.in_flight if standing is None else standing.in_flight
    return amount / (in_flight if kind == "fewer_requests" else in_flight + amount)


def _with_fewer(contender: Contender, count: float) -> Contender:
    """Each had its share of what the engine holds, writes, and has to read."""
    left = max(contender.in_flight - int(count), 0)
    held = contender.held_tokens * left // contender.in_flight if contender.in_flight else contender.held_tokens
    standing = contender.standing
    if standing is not None and standing.in_flight:
        there = standing.in_flight
        still = max(there - int(count), 0)
        standing = replace(
            standing,
            in_flight=still,
            decoding=standing.decoding * still // there,
            kv_tokens=standing.kv_tokens * still // there,
            backlog_s=standing.backlog_s * still / there,
            backlog_tokens=standing.backlog_tokens * still // there,
        )
    return replace(contender, in_flight=left, held_tokens=held, standing=standing)


def _with_more(contender: Contender, count: float) -> Contender:
    return replace(contender, in_flight=contender.in_flight + int(count))


def _with_cached(contender: Contender, tokens: float) -> Contender:
    return _standing(contender, lambda one: replace(one, cached_tokens=one.cached_tokens + int(tokens)))


def _reading_faster(contender: Contender, more: float) -> Contender:
    """All that its machine has to read before this prompt as well."""

    def faster(one: Standing) -> Standing:
        rates = replace(one.rates, prefill=one.rates.prefill * (1.0 + more))
        return replace(one, rates=rates, backlog_s=one.backlog_s / (1.0 + more))

    return _standing(contender, faster)


def _waiting(contender: Contender, seconds: float) -> Contender:
    return replace(contender, standing_terms=(*contender.standing_terms, ("wait", seconds)))


def _standing(contender: Contender, change: Callable[[Standing], Standing]) -> Contender:
    return contender if contender.standing is None else replace(contender, standing=change(contender.standing))


_CHANGES: Mapping[Kind, Callable[[Contender, float], Contender]] = {
    "fewer_requests": _with_fewer,
    "cached_tokens": _with_cached,
    "reading_rate": _reading_faster,
    "longer_wait": _waiting,
    "more_requests": _with_more,
}
