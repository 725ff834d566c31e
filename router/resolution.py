"""From the name that a client asks for to a model: itself, an alias, a rule's choice, or what stands in for it.

It comes before any score, and says why.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from cluster.routes import NamedRoute, RouteRule
from router.borders import USUAL
from router.decision import ModelRoutes, RoutingTable
from router.narrowing import within
from router.waiting_words import worth_waiting

LOOKED_AT_CHARACTERS = 20_000  # of a text, from its end


class Wish(msgspec.Struct, frozen=True):
    """What rules look at. `said` gives the user's words, and is called for rules with words only."""

    group: str
    prompt_tokens: int
    said: Callable[[], str]


class Resolved(msgspec.Struct, frozen=True):
    """`why` is empty where a model, or its alias, serves under the name that was asked for."""

    routes: ModelRoutes
    why: str = ""


Allowed = Callable[[str, str], bool]
"""Whether the caller may use (the name asked for, the model)."""


def resolve(
    table: RoutingTable, asked: str, wish: Wish, allowed: Allowed, classes: frozenset[str] = USUAL
) -> Resolved | None:
    """None where there is no such name, or none for this caller: nobody learns which of the two. What it finds is only
    what may see a request of these privacy classes."""
    route = table.routes.get(asked)
    found = _by_rule(table, route, wish, allowed) if route is not None else _by_name(table, asked, allowed)
    if found is None:
        return None
    routes = within(table.borders, found.routes, classes)
    found = found if routes is found.routes else Resolved(routes, found.why)
    return found if can_serve(routes) else _stand_in(table, asked, found, allowed, classes)


def _by_name(table: RoutingTable, asked: str, allowed: Allowed) -> Resolved | None:
    routes = table.names.get(asked)
    return Resolved(routes) if routes is not None and allowed(asked, routes.view.name) else None


def _by_rule(table: RoutingTable, route: NamedRoute, wish: Wish, allowed: Allowed) -> Resolved | None:
    for rule in route.rules:
        routes = table.models.get(rule.model)
        if routes is None or not allowed(route.name, rule.model):
            continue
        why = holds(rule, wish)
        if why is not None:
            return Resolved(routes, f"rule {rule.domain}: {why}")
    routes = table.models.get(route.otherwise)
    return Resolved(routes, "no rule") if routes is not None and allowed(route.name, route.otherwise) else None


def _stand_in(table: RoutingTable, asked: str, found: Resolved, allowed: Allowed, classes: frozenset[str]) -> Resolved:
    """Another model, where the operator named one: this one cannot serve, and is not on its way."""
    view = found.routes.view
    for name in view.fallback:
        whole = table.models.get(name)
        routes = within(table.borders, whole, classes) if whole is not None else None
        if routes is not None and can_serve(routes) and allowed(asked, name):
            how = "is nowhere that the request may go" if found.routes.zones is not None else f"is {view.state}"
            why = f"fallback: {view.name} {how}"
            return Resolved(routes, f"{found.why}; {why}" if found.why else why)
    return found


def can_serve(routes: ModelRoutes) -> bool:
    return bool(routes.candidates) or worth_waiting(routes)


def holds(rule: RouteRule, wish: Wish) -> str | None:
    """What made it hold, in the operator's own words; None where it does not."""
    reasons: list[str] = []
    if rule.groups:
        if wish.group not in rule.groups:
            return None
        reasons.append(f"group {wish.group}")
    if rule.longer_than_tokens is not None:
        if wish.prompt_tokens <= rule.longer_than_tokens:
            return None
        reasons.append(f"more than {rule.longer_than_tokens} tokens")
    if rule.words:
        found = words_in(rule.words, wish.said())
        if len(found) < rule.least:
            return None
        reasons.append(f"words {', '.join(found)}")
    return ", ".join(reasons)


def words_in(words: tuple[str, ...], text: str) -> list[str]:
    """Which of them a text has, in their own order."""
    lowered = text[-LOOKED_AT_CHARACTERS:].lower()
    return [word for word in words if _pattern(word).search(lowered)]


@lru_cache(maxsize=4096)
def _pattern(word: str) -> re.Pattern[str]:
    stem = r"\s+".join(map(re.escape, word.removesuffix("*").split()))
    return re.compile(rf"(?<!\w){stem}" + ("" if word.endswith("*") else r"(?!\w)"))
