"""Calendars (.ics): each event by its UID: what, when in its zone, where, who, and how it recurs, in words. Pure.

A rule is told, never unrolled: an event may recur for ever.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from icalendar import Calendar
from icalendar.cal.component import Component

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.encodings import decoded
from rag.parsing.values import MOST_BLOCKS, CannotParseError, ParsedDocument, present

MOST_BYTES = 20_000_000
_DAYS = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
_UNITS = {"SECONDLY": "second", "MINUTELY": "minute", "HOURLY": "hour", "DAILY": "day", "WEEKLY": "week"}
_UNITS |= {"MONTHLY": "month", "YEARLY": "year"}
_COUNTED = ("", "first ", "second ", "third ", "fourth ", "fifth ")
_SHOWN = 100  # attendees


def read(name: str, content: bytes) -> ParsedDocument:
    if len(content) > MOST_BYTES or content.count(b"\nBEGIN:") > MOST_BLOCKS:
        raise CannotParseError("invalid_file", f"{name} holds too many events. Export fewer years at once.")
    try:
        calendars = Calendar.from_ical(decoded(content), multiple=True)
        blocks = tuple(_event(component) for one in calendars for component in _entries(one))
        title = one_line(str(calendars[0].get("X-WR-CALNAME", ""))) if calendars else ""
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: its calendar cannot be read ({one_line(str(error))}). Export it again."
        ) from error
    return ParsedDocument(title, "text/calendar", blocks, present(events=float(len(blocks))))


def _entries(calendar: Component) -> Iterator[Component]:
    return (one for one in calendar.walk() if one.name in ("VEVENT", "VTODO", "VJOURNAL"))


def _event(entry: Component) -> Block:
    summary = one_line(_text(entry, "SUMMARY"))
    lines = [summary]
    lines += [f"{label}: {value}" for label, value in _facts(entry) if value]
    lines.append(clean_text(_text(entry, "DESCRIPTION")))
    place = Locator("message", one_line(_text(entry, "UID"), 512))
    return Block("\n".join(line for line in lines if line), place, summary)


def _facts(entry: Component) -> Iterator[tuple[str, str]]:
    yield "Status", "cancelled" if _text(entry, "STATUS").upper() == "CANCELLED" else ""
    yield "When", _when(entry)
    yield "Recurs", rule_in_words(entry.get("RRULE"))
    yield "Due", _moment(_date(entry, "DUE"))
    yield "Where", one_line(_text(entry, "LOCATION"))
    yield "Organiser", _people(entry.get("ORGANIZER"))
    yield "Attendees", _people(entry.get("ATTENDEE"))


def _when(entry: Component) -> str:
    start, end = _date(entry, "DTSTART"), _date(entry, "DTEND")
    if isinstance(start, datetime) and isinstance(end, datetime) and start.date() == end.date():
        return f"{start:%A} {start:%Y-%m-%d %H:%M} to {end:%H:%M}{_zone(start)}"
    if isinstance(end, date) and end != start:
        return f"{_moment(start)} to {_moment(end)}"
    return _moment(start)


def _date(entry: Component, key: str) -> object:
    """None where it is missing or damaged: the event is still worth finding."""
    try:
        return getattr(entry.get(key), "dt", None)
    except ValueError:
        return None


def _moment(at: object) -> str:
    if isinstance(at, datetime):
        return f"{at:%A} {at:%Y-%m-%d %H:%M}{_zone(at)}"
    return f"{at:%A} {at:%Y-%m-%d}" if isinstance(at, date) else ""


def _zone(at: datetime) -> str:
    return f" ({getattr(at.tzinfo, 'key', None) or at.tzname()})" if at.tzinfo is not None else ""


def rule_in_words(rule: object) -> str:
    """Of an RRULE: "every 2 weeks on Monday and Wednesday, until 2025-06-20"."""
    if isinstance(rule, list):
        return "; ".join(rule_in_words(one) for one in rule[:5])
    if not isinstance(rule, Mapping):
        return ""
    unit = _UNITS.get(str(_first(rule, "FREQ")).upper())
    if unit is None:
        return ""
    interval = _first(rule, "INTERVAL") or 1
    words = f"every {unit}" if interval == 1 else f"every {interval} {unit}s"
    days = [_day(str(day)) for day in rule.get("BYDAY", [])]
    dates = [f"day {day}" for day in rule.get("BYMONTHDAY", [])]
    if days or dates:
        words += f" on {_and([*days, *dates])}"
    if (count := _first(rule, "COUNT")) is not None:
        words += f", {count} times"
    if isinstance(until := _first(rule, "UNTIL"), date):
        words += f", until {until:%Y-%m-%d}"
    return words


def _first(rule: Mapping[str, object], key: str) -> object:
    value = rule.get(key)
    return (value[0] if value else None) if isinstance(value, list) else value


def _day(code: str) -> str:
    """`2MO`: the second Monday; `-1FR`: the last Friday."""
    day, number = _DAYS.get(code[-2:].upper(), code), code[:-2]
    if number in ("", "0"):
        return day
    if number.startswith("-"):
        return f"the last {day}" if number == "-1" else f"the {number[1:]}th last {day}"
    at = int(number) if number.lstrip("+").isdigit() else 0
    return f"the {_COUNTED[at] if at < len(_COUNTED) else f'{at}th '}{day}"


def _and(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else words[0]


def _people(told: object) -> str:
    people = told if isinstance(told, list) else [told] if told is not None else []
    names = []
    for one in people[:_SHOWN]:
        address = str(one).removeprefix("mailto:").removeprefix("MAILTO:")
        name = one_line(str(getattr(one, "params", {}).get("CN", "")))
        names.append(f"{name} <{address}>" if name and name != address else address)
    more = f" and {len(people) - _SHOWN} more" if len(people) > _SHOWN else ""
    return one_line(", ".join(names) + more, 4_000)


def _text(entry: Component, key: str) -> str:
    value = entry.get(key)
    return str(value[0] if isinstance(value, list) and value else value or "")
