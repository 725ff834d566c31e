"""Counts that limits are held against: a rolling minute, a day of the calendar, requests under way."""

from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from cluster.hours import Opening, is_open, opens_at
from cluster.limits import NO_LIMITS, Limits
from router.limit_verdict import Excess, Room, Use, Wish, excesses, rooms

WINDOW_S = 60
CONCURRENCY_RETRY_S = 1.0  # nobody knows when a running request ends


class Day(NamedTuple):
    """One day of the calendar, and from when to when it is on the wall clock."""

    number: int
    begins_s: float
    ends_s: float

    def holds(self, wall_s: float) -> bool:
        return self.begins_s <= wall_s < self.ends_s


NO_DAY = Day(0, 0.0, 0.0)


class Moment(NamedTuple):
    """Now, by both clocks, where the limits are of: `zone` None is that of this machine."""

    now_s: float  # monotonic
    wall_s: float
    day: Day
    zone: tzinfo | None

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.wall_s, self.zone)

    def until_midnight_s(self) -> float:
        return self.day.ends_s - self.wall_s


def day_of(wall_s: float, zone: tzinfo | None) -> Day:
    local = datetime.fromtimestamp(wall_s, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return Day(local.toordinal(), midnight.timestamp(), (midnight + timedelta(days=1)).timestamp())


class RollingMinute:
    """Counts by the second, so that no 60 seconds ever hold more than was let in: a count leaves once its whole second
    is 60 seconds old."""

    __slots__ = ("_counts", "_last", "_newest", "total")

    def __init__(self) -> None:
        self._counts = [0] * (WINDOW_S + 1)
        self._newest = self._last = 0  # the second, on the monotonic clock: of now, and when something was added
        self.total = 0

    def add(self, amount: int, now_s: float) -> None:
        self.forget(now_s)
        self._counts[self._newest % len(self._counts)] += amount
        self._last = self._newest
        self.total += amount

    def forget(self, now_s: float) -> None:
        """Whatever is too old at this moment."""
        second, size = int(now_s), len(self._counts)
        if second <= self._newest:
            return
        for gone in range(max(self._newest, second - size) + 1, second + 1):
            self.total -= self._counts[gone % size]
            self._counts[gone % size] = 0
        self._newest = second

    def empties_s(self, now_s: float) -> float:
        """Seconds until all has left, if nothing is added."""
        return max(0.0, self._last + len(self._counts) - now_s) if self.total else 0.0

    def frees_s(self, amount: int, now_s: float) -> float:
        """Seconds until so much has left; the whole window where it does not hold so much."""
        self.forget(now_s)
        size, left = len(self._counts), amount
        for second in range(self._newest - size + 1, self._newest + 1):
            left -= self._counts[second % size]
            if left <= 0:
                return second + size - now_s
        return float(WINDOW_S)


class Held(NamedTuple):
    """What an account has against a request. `wait_s` is None where waiting does not help."""

    whose: str
    excess: Excess
    wait_s: float | None


class Account:
    """One key, user or group, as far as it has limits. `whose` names it for its owner."""

    __slots__ = (
        "_day", "_in_flight", "_minute_requests", "_minute_tokens", "_requests_today", "_reserved", "_tokens_today",
        "limits", "openings", "whose",
    )  # fmt: skip

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.limits: Limits = NO_LIMITS
        self.openings: tuple[Opening, ...] = ()
        self._minute_requests, self._minute_tokens = RollingMinute(), RollingMinute()
        self._day = 0
        self._requests_today = self._tokens_today = 0
        self._in_flight = self._reserved = 0

    def restore(self, day: int, requests: int, tokens: int) -> None:
        """What had been counted on this day before the gateway started."""
        self._day, self._requests_today, self._tokens_today = day, requests, tokens

    def idle(self, moment: Moment) -> bool:
        """Nothing of it counts any more."""
        use = self.use(moment)
        return not (use.in_flight or use.requests_minute or use.tokens_minute or use.requests_day or use.tokens_day)

    def against(self, wish: Wish, moment: Moment) -> list[Held]:
        found = [
            Held(self.whose, one, self._wait_s(one, moment)) for one in excesses(self.limits, self.use(moment), wish)
        ]
        if self.openings and not is_open(self.openings, moment.local):
            wait_s = opens_at(self.openings, moment.local).timestamp() - moment.wall_s
            found.append(Held(self.whose, Excess("hours", 0, 0), wait_s))
        return found

    def take(self, wish: Wish, moment: Moment) -> None:
        """Count one request in. Called in the same step as `against`."""
        self._turn(moment)
        self._minute_requests.add(1, moment.now_s)
        self._requests_today += 1
        self._in_flight += 1
        self._reserved += wish.tokens

    def settle(self, wish: Wish, tokens: int, moment: Moment) -> None:
        """It has ended, having taken so many tokens in truth."""
        self._turn(moment)
        self._in_flight -= 1
        self._reserved -= wish.tokens
        self._minute_tokens.add(tokens, moment.now_s)
        self._tokens_today += tokens

    def use(self, moment: Moment) -> Use:
        self._turn(moment)
        self._minute_requests.forget(moment.now_s)
        self._minute_tokens.forget(moment.now_s)
        return Use(
            self._minute_requests.total, self._requests_today, self._minute_tokens.total, self._tokens_today,
            self._in_flight, self._reserved,
        )  # fmt: skip

    def rooms(self, moment: Moment) -> list[Room]:
        """What is left under each limit that is set."""
        return rooms(self.limits, self.use(moment))

    def resets_s(self, room: Room, moment: Moment) -> float:
        """Until nothing of what was used counts any more."""
        if room.span == "day":
            return moment.until_midnight_s()
        return self._window(room.unit).empties_s(moment.now_s)

    def _wait_s(self, found: Excess, moment: Moment) -> float | None:
        if found.lacking is None:
            return None
        if found.name == "concurrency":
            return CONCURRENCY_RETRY_S
        unit, _, span = found.name.partition("_per_")
        return moment.until_midnight_s() if span == "day" else self._window(unit).frees_s(found.lacking, moment.now_s)

    def _window(self, unit: str) -> RollingMinute:
        return self._minute_requests if unit == "requests" else self._minute_tokens

    def _turn(self, moment: Moment) -> None:
        if self._day != moment.day.number:
            self._day = moment.day.number
            self._requests_today = self._tokens_today = 0
