"""Who answers what a front end asks for itself, where the model that it names is not awake: another that is, or nobody.

Nothing is woken for it, and nothing waits for it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from inventory.catalog import ModelName
from router.asking import choose
from router.call_context import CallContext
from router.decision import Decision, ModelRoutes, RoutingTable
from router.errors import nobody_awake
from router.holding import hold_of
from router.model_list import listed
from router.outlook import question_of
from router.request import Arrival, Identity, InferenceRequest, Parsed
from router.resolution import Resolved
from router.view import GatewayView

ANSWER_TOKENS = 64  # that must fit beside its prompt: a title, some tags


class Awake(NamedTuple):
    """A model that can answer it."""

    routes: ModelRoutes
    room: bool  # at this moment; else it would wait for its turn
    cost: float  # of its best engine
    in_seconds: bool
    per_slot: float  # requests that this engine has


def as_aside(parsed: Parsed, arrival: Arrival, table: RoutingTable) -> Parsed:
    """The same, as what it is by its words or by a header; an ordinary request where the operator wants that."""
    if parsed.side is None and arrival.side is None:
        return parsed
    side = None
    if table.side_calls == "warm":
        plain = parsed.engine_api == "chat" and parsed.needs.isdisjoint(("tools", "media"))
        side = parsed.side or (arrival.side if plain else None)
    return parsed if side is parsed.side else replace(parsed, side=side)


def stand_in(context: CallContext, view: GatewayView, arrival: Arrival, parsed: Parsed, named: Resolved) -> Resolved:
    """Who has room comes first. Raises ApiError 503 where nobody who is awake can answer."""
    side, absent = parsed.side, named.routes.view
    assert side is not None
    found = cheapest(list(_awake(context, view, arrival, parsed)))
    if found is None:
        raise nobody_awake(absent.name, absent.state, side.kind)
    why = f"{side.kind}: {side.why}; {absent.name} is {absent.state}"
    return Resolved(found.routes, f"{named.why}; {why}" if named.why else why)


def cheapest(awake: list[Awake]) -> Awake | None:
    """Seconds and counts are not compared: where seconds are not known of all, who has less to do is first."""
    in_seconds = all(one.in_seconds for one in awake)

    def place(one: Awake) -> tuple[bool, float, ModelName]:
        return not one.room, one.cost if in_seconds else one.per_slot, one.routes.view.name

    return min(awake, key=place, default=None)


def _awake(context: CallContext, view: GatewayView, arrival: Arrival, parsed: Parsed) -> Iterator[Awake]:
    now_s = context.clock.monotonic_s()
    for name, routes in _reachable(view, arrival.identity).items():
        if "chat" not in routes.view.capabilities:
            continue
        tokens = context.ratios.prompts.tokens_of(name, parsed.prompt_characters)
        request = InferenceRequest(arrival, name, parsed, tokens)
        question = question_of(request, choice=routes.measured and len(routes.candidates) > 1)
        decision = choose(context, routes, request, question, now_s)
        if _fits(decision, tokens):
            room = name not in context.room.crowded and hold_of(decision) is None
            yield _judged(routes, room, decision)


def _reachable(view: GatewayView, identity: Identity) -> dict[ModelName, ModelRoutes]:
    """Models with an engine that serves, by whatever name this caller may ask for them."""
    return {routes.view.name: routes for _, routes in listed(view, identity) if routes.candidates}


def _fits(decision: Decision, tokens: int) -> bool:
    chosen = decision.chosen
    return chosen is not None and tokens + ANSWER_TOKENS <= chosen.context_tokens


def _judged(routes: ModelRoutes, room: bool, decision: Decision) -> Awake:
    best = decision.places[0]
    candidate, running = decision.entrants[best.at]
    in_seconds = decision.contest.policy == "seconds" and decision.contest.ask is not None
    return Awake(routes, room, best.total_s, in_seconds, running / candidate.slots)
