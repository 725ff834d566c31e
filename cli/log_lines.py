"""A line of a log, as an entry: what services write is events of known fields, what engines write is text. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from cli.table import printable
from inventory.logs import FIELDS

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")
TOLD_APART = frozenset({"timestamp", "level", "event", "role"})  # have places of their own
ENGINE = "engine-"


@dataclass(frozen=True, slots=True)
class Entry:
    """`at_s` is 0 where nothing says when. `source` is the service or engine. `event` is empty where a line is plain
    text; `text` holds it then."""

    at_s: float
    source: str
    level: Level
    event: str = ""
    text: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is left out of it is not asked for. With a model: its engines' own lines, and events that name it."""

    model: str | None = None
    level: Level = "debug"
    since_s: float | None = None

    def has(self, entry: Entry) -> bool:
        if LEVELS.index(entry.level) < LEVELS.index(self.level):
            return False
        if self.since_s is not None and entry.at_s < self.since_s:
            return False
        return self.model is None or self.model in (model_of(entry.source), *_named(entry))


def entry_of(line: str, source: str, otherwise_s: float) -> Entry:
    """`otherwise_s`: when it was written, as far as can be told, where the line does not say so itself.

    A service that writes text instead of an event has failed to start, or is failing.
    """
    try:
        found = json.loads(line)
        told = {name: value for name, value in found.items() if name in FIELDS}
        at_s = datetime.fromisoformat(str(told["timestamp"])).timestamp()
    except (ValueError, KeyError, AttributeError):
        return Entry(otherwise_s, source, "info" if source.startswith(ENGINE) else "error", text=line)
    level: Level = next((one for one in LEVELS if one == told.get("level")), "info")
    fields = {name: value for name, value in told.items() if name not in TOLD_APART}
    return Entry(at_s, str(told.get("role", source)), level, str(told.get("event", "")), "", fields)


def model_of(source: str) -> str | None:
    """Of an engine's log; None of another."""
    return source.removeprefix(ENGINE).rsplit(".", 2)[0] if source.startswith(ENGINE) else None


def line_of(entry: Entry) -> str:
    """For people. What would be a command to the terminal is shown instead."""
    time = datetime.fromtimestamp(entry.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if entry.at_s else "-"
    fields = "".join(f"  {name}={_value(value)}" for name, value in entry.fields.items())
    source = entry.source.removeprefix(ENGINE)
    said = f"{printable(entry.event or entry.text)}{printable(fields)}"
    return f"{time:<23}  {entry.level:<8}  {printable(source):<8}  {said}"


def document_of(entry: Entry) -> dict[str, object]:
    time = datetime.fromtimestamp(entry.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    at = time if entry.at_s else None
    said: dict[str, object] = (
        {"event": entry.event, "fields": {**entry.fields}} if entry.event else {"text": entry.text}
    )
    return {"time": at, "source": entry.source, "level": entry.level, **said}


def _named(entry: Entry) -> tuple[object, ...]:
    engine = entry.fields.get("engine")
    return (entry.fields.get("model"), model_of(f"{ENGINE}{engine}") if isinstance(engine, str) else None)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
