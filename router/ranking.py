"""Who comes first of those that passed the filters: the part of a decision that its record can do again.

A Contest in, places out; the same contest, the same places.
"""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from cluster.router_policy import RouterPolicy
from nodes.snapshot import EngineId
from router import policies
from router.cost import TERMS, Ask, Standing, Terms, seconds

TIE_S = 0.05  # predictions are not better than this,
TIE = 0.05  # nor than this share of the cost


class Contender(msgspec.Struct, frozen=True, gc=False):
    """An engine that passed the filters, as far as any policy looks at it."""

    engine_id: EngineId
    slots: int
    in_flight: int = 0
    standing: Standing | None = None  # None: not measured, so its requests per slot stand for seconds
    standing_terms: Terms = ()
    place: int = 0  # by id, among all that passed
    cache_tokens: int = 0  # that it holds in all, and those promised to requests: for the policy that weighs memory
    held_tokens: int = 0


class Contest(msgspec.Struct, frozen=True, gc=False):
    """`turn` counts the requests of this model that went to an engine before; `of` is how many passed."""

    policy: RouterPolicy
    turn: int
    of: int
    ask: Ask | None
    contenders: Sequence[Contender]


class Place(msgspec.Struct, frozen=True, gc=False):
    """Its amounts sum to the total; they get their names when somebody asks for terms."""

    total_s: float
    engine_id: EngineId
    at: int  # among the contenders
    names: tuple[str, ...]
    amounts: tuple[float, ...]

    @property
    def terms(self) -> Terms:
        return tuple(zip(self.names, self.amounts, strict=True))


def rank(contest: Contest) -> list[Place]:
    """Best first. In seconds, costs that are as good as equal are settled by more than their difference."""
    ask = contest.ask if contest.policy == "seconds" else None
    places: list[Place] = []
    names: tuple[str, ...]
    amounts: tuple[float, ...]
    for contender in contest.contenders:
        if ask is not None and contender.standing is not None:
            names, amounts = TERMS, seconds(ask, contender.standing)
        else:
            names, amounts = _by_counts(contest, contender)
        if contender.standing_terms:
            more_names, more_s = zip(*contender.standing_terms, strict=True)
            names, amounts = (*names, *more_names), (*amounts, *more_s)
        places.append(Place(sum(amounts), contender.engine_id, len(places), names, amounts))
    if len(places) > 1:
        places.sort(key=_total_then_id)
        if ask is not None:
            _settle_tie(places, contest.contenders)
    return places


def tie_limit_s(least_s: float) -> float:
    """Costs up to here are as good as the least."""
    share_s = TIE * least_s
    return least_s + (share_s if share_s > TIE_S else TIE_S)


def _by_counts(contest: Contest, contender: Contender) -> tuple[tuple[str, ...], tuple[float, ...]]:
    policy, place = contest.policy, contender.place
    if policy == "seconds":  # that nobody can reckon with yet
        return ("wait",), ((contender.in_flight + 1) / contender.slots,)
    if policy == "round-robin":
        terms = policies.round_robin(contest.turn, place, contest.of)
    elif policy == "least-requests":
        terms = policies.least_requests(contender.in_flight)
    elif policy == "power-of-two":
        terms = policies.power_of_two(contender.in_flight, place, policies.draw(contest.turn, contest.of))
    else:
        used = min(contender.held_tokens / contender.cache_tokens, 1.0) if contender.cache_tokens else 1.0
        terms = policies.weighted_sum(contender.in_flight, used, contender.cache_tokens)
    return tuple([name for name, _ in terms]), tuple([amount for _, amount in terms])


def _settle_tie(places: list[Place], contenders: Sequence[Contender]) -> None:
    """Where its session lives decides, then who has less to do and to keep."""
    limit_s = tie_limit_s(places[0].total_s)
    if places[1].total_s > limit_s:
        return
    keys: list[tuple[bool, int, int, int, Place]] = []
    for place in places:
        if place.total_s > limit_s:
            break
        standing = contenders[place.at].standing
        if standing is None:
            keys.append((True, 0, 0, len(keys), place))
        else:
            keys.append((not standing.home, standing.in_flight, standing.live_tokens, len(keys), place))
    keys.sort()
    for at, key in enumerate(keys):
        places[at] = key[-1]


_total_then_id = attrgetter("total_s", "engine_id")
