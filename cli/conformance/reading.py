"""Reads what strangers answer, of which nothing may be taken for granted."""

import json
from dataclasses import dataclass


def at(document: object, *path: str | int) -> object:
    """What stands there; None where there is no such place."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return None
    return document


def text_at(document: object, *path: str | int) -> str:
    """The text that stands there; "" where there is none."""
    found = at(document, *path)
    return found if isinstance(found, str) else ""


def count_at(document: object, *path: str | int) -> int | None:
    found = at(document, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def list_at(document: object, *path: str | int) -> list[object]:
    found = at(document, *path)
    return found if isinstance(found, list) else []


def parsed(text: str | bytes) -> object:
    """None for what is not JSON."""
    try:
        document: object = json.loads(text)
        return document
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Event:
    """Of a stream. `name` is "" where it has none."""

    name: str
    data: str


def events_in(body: bytes) -> tuple[list[Event], list[str]]:
    """The server-sent events of a whole stream, and what is wrong with how they are written."""
    problems: list[str] = []
    try:
        text = body.decode()
    except UnicodeDecodeError:
        problems.append("not UTF-8")
        text = body.decode(errors="replace")
    text = text.replace("\r\n", "\n")
    if text and not text.endswith("\n\n"):
        problems.append("ends inside an event")
    events = []
    for block in text.split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            field, colon, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif field == "event":
                name = value.removeprefix(" ")
            elif line and (not colon or field not in ("", "id", "retry")):
                problems.append(f"a line that is no field: {line[:40]!r}")
        if data:
            events.append(Event(name, "\n".join(data)))
    return events, problems


def openai_error(document: object) -> str | None:
    """What is wrong with an error of OpenAI's shape."""
    error = at(document, "error")
    if not isinstance(error, dict):
        return "no `error` object"
    if not text_at(error, "message"):
        return "no `error.message`"
    if not text_at(error, "type"):
        return "no `error.type`"
    for name in ("param", "code"):
        if name not in error:
            return f"no `error.{name}`"
        if not isinstance(error[name], str | None):
            return f"`error.{name}` is no text: {error[name]!r}"
    return None


def anthropic_error(document: object) -> str | None:
    if at(document, "type") != "error":
        return '`type` is not "error"'
    if not text_at(document, "error", "type"):
        return "no `error.type`"
    return None if text_at(document, "error", "message") else "no `error.message`"


def ollama_error(document: object) -> str | None:
    return None if text_at(document, "error") else "`error` is no text"
