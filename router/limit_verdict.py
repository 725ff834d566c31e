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
    left: int


def excesses(limits: Limits, use: Use, wish: Wish) -> tuple[Excess, ...]:
    """All that stands against it, hours aside. A request that is expected to take more tokens than a limit allows at
    all is taken when nothing else counts, unless its prompt alone is more."""
    found: list[Excess] = []
    for span, used, limit in _tokens(limits, use):
        over = used + min(wish.tokens, limit) - limit
        if wish.prompt_tokens > limit:
            found.append(Excess(f"tokens_per_{span}", limit, None))
        elif over > 0:
            found.append(Excess(f"tokens_per_{span}", limit, over))
    found += [Excess(f"requests_per_{span}", limit, 1) for span, used, limit in _requests(limits, use) if used >= limit]
    if limits.concurrency is not None and use.in_flight >= limits.concurrency:
        found.append(Excess("concurrency", limits.concurrency, 1))
    return tuple(found)


def rooms(limits: Limits, use: Use) -> tuple[Room, ...]:
    """What is left under each limit that is set."""
    requests = [Room("requests", span, limit, max(0, limit - used)) for span, used, limit in _requests(limits, use)]
    return (
        *requests,
        *(Room("tokens", span, limit, max(0, limit - used)) for span, used, limit in _tokens(limits, use)),
    )


_Counted = tuple[Span, int, int]  # over which time, what counts, the limit


def _requests(limits: Limits, use: Use) -> list[_Counted]:
    return _set(limits.requests_per_day, use.requests_day, limits.requests_per_minute, use.requests_minute)


def _tokens(limits: Limits, use: Use) -> list[_Counted]:
    day, minute = use.tokens_day + use.reserved, use.tokens_minute + use.reserved
    return _set(limits.tokens_per_day, day, limits.tokens_per_minute, minute)


def _set(per_day: int | None, today: int, per_minute: int | None, lately: int) -> list[_Counted]:
    found: list[_Counted] = []
    if per_day is not None:
        found.append(("day", today, per_day))
    if per_minute is not None:
        found.append(("minute", lately, per_minute))
    return found
