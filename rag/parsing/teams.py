"""Chats as Microsoft Teams exports them (Graph's chatMessage): each message by its id, in threads, in order. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeGuard

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.encodings import decoded
from rag.parsing.html import text_of
from rag.parsing.values import CannotParseError, ParsedDocument, present

MEDIA_TYPE = "application/vnd.microsoft.teams.messages+json"


def looks_like(value: object) -> bool:
    """Whether it is one chat message, or some of them."""
    found = messages_of(value)
    return bool(found) and all("body" in one and ("from" in one or "createdDateTime" in one) for one in found[:20])


def messages_of(value: object) -> list[Mapping[str, object]]:
    """A list, one page as Graph answers, or one message; the replies that it was expanded with stand beside it."""
    inner = next((value[key] for key in ("value", "messages") if key in value), value) if _is_map(value) else value
    listed = inner if isinstance(inner, list) else [inner]
    found = [one for one in listed if isinstance(one, Mapping)]
    replies = [reply for one in found for reply in _list(one.get("replies")) if isinstance(reply, Mapping)]
    return [*found, *replies]


def read(name: str, content: bytes) -> ParsedDocument:
    try:
        value = json.loads(decoded(content))
    except (ValueError, RecursionError) as error:
        raise CannotParseError("invalid_file", f"{name} is damaged: it is not JSON. Export the chat again.") from error
    said = [one for one in messages_of(value) if _is_said(one)]
    first_of = {_id(one): one for one in said if not one.get("replyToId")}
    order = sorted(said, key=lambda one: (_thread_start(one, first_of), _thread(one), _time(one), _id(one)))
    blocks = tuple(_block(one, first_of.get(_thread(one))) for one in order)
    return ParsedDocument("", MEDIA_TYPE, blocks, present(messages=float(len(blocks))))


def _is_said(message: Mapping[str, object]) -> bool:
    """By a person, and not taken back."""
    return message.get("deletedDateTime") is None and message.get("messageType", "message") == "message"


def _block(message: Mapping[str, object], first: Mapping[str, object] | None) -> Block:
    who, when = _sender(message), _time(message).replace("T", " ")[:16]
    attached = [
        one_line(str(one.get("name"))) for one in _list(message.get("attachments")) if _is_map(one) and one.get("name")
    ]
    lines = [f"{who}, {when}: {_words(message)}".strip(" ,:")]
    if attached:
        lines.append(f"Attached: {', '.join(attached)}")
    heading = one_line(str(message.get("subject") or "")) or (_heading(first) if first is not None else "")
    return Block("\n".join(lines), Locator("message", _id(message)), heading)


def _heading(first: Mapping[str, object]) -> str:
    return one_line(str(first.get("subject") or "") or _words(first), 100)


def _words(message: Mapping[str, object]) -> str:
    body = message.get("body")
    if not _is_map(body):
        return ""
    content = str(body.get("content") or "")
    if str(body.get("contentType", "html")).lower() != "html":
        return clean_text(content)
    return text_of(content.replace("<at ", "@<at "))


def _sender(message: Mapping[str, object]) -> str:
    told = message.get("from")
    for kind in ("user", "application", "device"):
        who = told.get(kind) if _is_map(told) else None
        if _is_map(who) and who.get("displayName"):
            return one_line(str(who["displayName"]))
    return ""


def _thread(message: Mapping[str, object]) -> str:
    return str(message.get("replyToId") or "") or _id(message)


def _thread_start(message: Mapping[str, object], first_of: Mapping[str, Mapping[str, object]]) -> str:
    return _time(first_of.get(_thread(message), message))


def _time(message: Mapping[str, object]) -> str:
    """ISO text in UTC, which sorts as time does; "" where it is none."""
    told = str(message.get("createdDateTime") or "")
    try:
        datetime.fromisoformat(told)
    except ValueError:
        return ""
    return told


def _id(message: Mapping[str, object]) -> str:
    return one_line(str(message.get("id") or ""), 200)


def _is_map(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
