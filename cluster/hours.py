"""Hours of the week, as people write them: text in, and whether and when they are open."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
HOURS_PATTERN = r"^[a-z]{3}([-,][a-z]{3})*\s+[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}$"

_HOURS = re.compile(r"([a-z,-]+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Opening:
    """Minutes of one day of the week, Monday being 0: from the first on, and up to but without the last."""

    weekday: int
    from_minute: int
    to_minute: int


def parse_hours(text: str) -> tuple[Opening, ...]:
    """ "mon-fri 08:00-16:00", "sat,sun 10:00-24:00", and "fri 22:00-02:00" into the next day. Raises ValueError."""
    match = _HOURS.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} are no hours of the week; write `mon-fri 08:00-16:00` or `sat,sun 10:00-24:00`")
    begins, ends = _minute(text, match[2], match[3]), _minute(text, match[4], match[5])
    if begins in (ends, DAY_MINUTES):
        raise ValueError(f"{text!r} has no length; a whole day is 00:00-24:00")
    found: set[Opening] = set()
    for day in _days(text, match[1]):
        if begins < ends:
            found.add(Opening(day, begins, ends))
        else:
            found |= {Opening(day, begins, DAY_MINUTES), Opening((day + 1) % 7, 0, ends)}
    return tuple(sorted((one for one in found if one.to_minute), key=lambda one: (one.weekday, one.from_minute)))


def is_open(openings: Collection[Opening], local: datetime) -> bool:
    weekday, minute = local.weekday(), local.hour * 60 + local.minute
    return any(one.weekday == weekday and one.from_minute <= minute < one.to_minute for one in openings)


def opens_at(openings: Collection[Opening], local: datetime) -> datetime:
    """The next beginning after this moment, by the same clock on the wall. There is one within a week."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    week = (midnight + timedelta(days=days) for days in range(8))
    found = [
        day + timedelta(minutes=opening.from_minute)
        for day in week
        for opening in openings
        if opening.weekday == day.weekday()
    ]
    return min(moment for moment in found if moment > local)


def _days(text: str, names: str) -> list[int]:
    found: list[int] = []
    for part in names.split(","):
        first, dash, last = part.partition("-")
        try:
            begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        except ValueError:
            raise ValueError(f"{text!r} names a day that is none of {', '.join(DAYS)}") from None
        found += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
    return found


def _minute(text: str, hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > DAY_MINUTES:
        raise ValueError(f"{text!r} has a time that no clock shows; the last one is 24:00")
    return found
