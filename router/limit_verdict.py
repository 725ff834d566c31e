"""What limits allow: counts and a wish in; out come the limits that stand against it, or the room that is left."""

from typing import Literal, NamedTuple

from cluster.limits import Limits

Unit = Literal["requests", "tokens"]
Span = Literal["minute", "day"]


class Use(NamedTuple):
    """What counts already. `reserved` are tokens of requests under way, as far as they were expected."""

    requests_minute: int = 0
    requests_day: int = 0
    tokens_minute: int = 0
    tokens_day: int = 0
    in_flight: int = 0
    reserved: int = 0


class Wish(NamedTuple):
    """One more request: the tokens of its prompt, and those with the answer that is expected."""

    prompt_tokens: int
    tokens: int


class Excess(NamedTuple):
    """`lacking` must come free first, in the unit of the limit; None: this request alone is more than the limit."""

    name: str
    limit: int
    lacking: int | None


class Room(NamedTuple):
    unit: Unit
    span: Span
    limit: int
    left: int  # less than nothing where an answer took more than was expected of it


def excesses(limits: Limits, use: Use, wish: Wish) -> list[Excess]:
    """All that stands against it, hours aside. A request that is expected to take more tokens than a limit allows at
    all is taken when nothing else counts, unless its prompt alone is more."""
    found: list[Excess] = []
    for unit, span, limit, left in rooms(limits, use):
        if unit == "tokens" and wish.prompt_tokens > limit:
            found.append(Excess(f"tokens_per_{span}", limit, None))
            continue
        over = (1 if unit == "requests" else min(wish.tokens, limit)) - left
        if over > 0:
            found.append(Excess(f"{unit}_per_{span}", limit, over))
    if limits.concurrency is not None and use.in_flight >= limits.concurrency:
        found.append(Excess("concurrency", limits.concurrency, 1))
    return found


def rooms(limits: Limits, use: Use) -> list[Room]:
    """What is left under each limit that is set."""
    found: list[Room] = []
    if (most := limits.tokens_per_day) is not None:
        found.append(Room("tokens", "day", most, most - use.tokens_day - use.reserved))
    if (most := limits.tokens_per_minute) is not None:
        found.append(Room("tokens", "minute", most, most - use.tokens_minute - use.reserved))
    if (most := limits.requests_per_day) is not None:
        found.append(Room("requests", "day", most, most - use.requests_day))
    if (most := limits.requests_per_minute) is not None:
        found.append(Room("requests", "minute", most, most - use.requests_minute))
    return found
