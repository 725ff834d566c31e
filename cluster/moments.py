"""Moments as people name them: a day, a time of it, "last week", "3 days ago". Pure."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

DAY_S = 86_400.0
SAID = 'a day (2026-11-12, which means its end), a moment (2026-11-12T10:00, UTC unless it says otherwise), Unix seconds, "yesterday", "last week", "last month", or "3 days ago"'  # noqa: E501 - one sentence of an error
_LONG: Mapping[str, float] = MappingProxyType(
    {"minute": 60.0, "hour": 3600.0, "day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S, "year": 365 * DAY_S}
)
_AGO = re.compile(r"(\d{1,6}) (minute|hour|day|week|month|year)s? ago")
_LAST = re.compile(r"last (week|month|year)")


class NoMomentError(ValueError):
    """What was said names none. Whoever asked is told what does."""

    def __init__(self, said: object) -> None:
        super().__init__(f"{said!r} is no moment; say {SAID}")


def moment_of(said: str | float, now_s: float) -> float:
    """Wall time in seconds. "last week" is seven days before now, "last month" thirty. Raises NoMomentError."""
    if isinstance(said, int | float):
        return float(said)
    text = " ".join(said.lower().split())
    if text in ("now", "yesterday"):
        return now_s - (DAY_S if text == "yesterday" else 0.0)
    if last := _LAST.fullmatch(text):
        return now_s - _LONG[last[1]]
    if ago := _AGO.fullmatch(text):
        return now_s - int(ago[1]) * _LONG[ago[2]]
    try:
        return _written(text)
    except (ValueError, OverflowError):
        raise NoMomentError(said) from None


def _written(text: str) -> float:
    """Raises ValueError, OverflowError."""
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) > len("20261112"):
        return float(text)
    with contextlib.suppress(ValueError):
        end = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(days=1)
        return end.timestamp() - 0.001  # what began with the next day did not hold
    found = datetime.fromisoformat(text.upper())
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
