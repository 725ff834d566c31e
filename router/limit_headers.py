"""What is left of limits, as OpenAI's and as Anthropic's clients read it in the headers of an answer. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil

from router.limit_counts import Account, Moment
from router.limit_verdict import Room, Unit

UNITS: tuple[Unit, ...] = ("requests", "tokens")
NAMES: Mapping[Unit, Sequence[str]] = {
    unit: (
        f"x-ratelimit-limit-{unit}",
        f"x-ratelimit-remaining-{unit}",
        f"x-ratelimit-reset-{unit}",
        f"anthropic-ratelimit-{unit}-limit",
        f"anthropic-ratelimit-{unit}-remaining",
        f"anthropic-ratelimit-{unit}-reset",
    )
    for unit in UNITS
}
_LINES: Mapping[Unit, str] = {unit: "".join([f"{name}: %s\r\n" for name in names]) for unit, names in NAMES.items()}


def limit_headers(accounts: Iterable[Account], moment: Moment) -> list[tuple[str, str]]:
    found = _values(accounts, moment)
    return [pair for unit, values in found for pair in zip(NAMES[unit], values, strict=True)]


def limit_lines(accounts: Iterable[Account], moment: Moment) -> bytes:
    """The same, written for HTTP/1."""
    return "".join([_LINES[unit] % values for unit, values in _values(accounts, moment)]).encode()


def _values(accounts: Iterable[Account], moment: Moment) -> Iterator[tuple[Unit, tuple[str, ...]]]:
    """For each of `NAMES`, by the tightest limit of that unit: what it is, what is left, and when all of it is back."""
    tightest: dict[Unit, tuple[Room, Account]] = {}
    for account in accounts:
        for room in account.rooms(moment):
            known = tightest.get(room.unit)
            if known is None or room.left < known[0].left:
                tightest[room.unit] = room, account
    for unit in UNITS:
        if unit in tightest:
            room, account = tightest[unit]
            resets_s = account.resets_s(room, moment)
            limit, left = str(room.limit), str(max(0, room.left))
            yield unit, (limit, left, span_text(resets_s), limit, left, _instant(ceil(moment.wall_s + resets_s)))


def span_text(seconds: float) -> str:
    """ "6m0s", as OpenAI writes it; whole seconds, rounded up."""
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


@lru_cache(maxsize=256)  # every request of a second names the same few instants
def _instant(wall_s: int) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
