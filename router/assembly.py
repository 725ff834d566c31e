"""One whole answer out of a stream: for engines that go on generating when the client of a whole answer leaves.

Such an engine notices only the end of a stream, so the gateway always streams from it and puts together here what a
client that did not ask for a stream should get. The pieces are OpenAI's chunks; the result is OpenAI's object.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from router.dialects.heard import Delta, ToolPiece
from router.request import EngineApi

_OBJECTS: dict[EngineApi, str] = {"chat": "chat.completion", "completions": "text_completion"}


_Logprobs = dict[str, list[msgspec.Raw] | None]  # a list a key, whatever the dialect names them
_ABSENT = (b"", b"null")


class _ChoicePiece(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    created: int | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[_ChoicePiece] = []
    usage: msgspec.Raw = msgspec.Raw()
    timings: msgspec.Raw = msgspec.Raw()


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _Tool(msgspec.Struct):
    id: str
    function: _Function
    type: str = "function"


class _Message(msgspec.Struct):
    """Fields that an answer does not have are left out, but `content` and `role` always stand."""

    role: str
    content: str | None
    reasoning: str | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    refusal: str | None = None
    tool_calls: list[_Tool] | msgspec.UnsetType = msgspec.UNSET


class _Choice(msgspec.Struct):
    index: int
    finish_reason: str
    logprobs: _Logprobs | None = None
    message: _Message | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct):
    id: str
    object: str
    created: int
    model: str
    choices: list[_Choice]
    system_fingerprint: str | msgspec.UnsetType = msgspec.UNSET
    usage: Any = msgspec.UNSET  # as the engine wrote it
    timings: Any = msgspec.UNSET


_chunks = msgspec.json.Decoder(_Chunk)


class _Parts:
    """What has come of one choice so far."""

    __slots__ = ("finish_reason", "logprobs", "texts", "tools")

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.tools: dict[int, _Tool] = {}
        self.logprobs: _Logprobs | None = None
        self.finish_reason: str | None = None

    def add(self, field: str, piece: str | None) -> None:
        if piece is not None:
            self.texts.setdefault(field, []).append(piece)

    def whole(self, field: str) -> str | None:
        return "".join(self.texts[field]) if field in self.texts else None


class Assembly:
    """Collects the events of one stream. The caller knows whether the stream ended well."""

    __slots__ = ("_api", "_choices", "_first", "_last", "taken_bytes")

    def __init__(self, api: EngineApi) -> None:
        self._api = api
        self._choices: dict[int, _Parts] = {}
        self._first: _Chunk | None = None
        self._last = _Chunk()
        self.taken_bytes = 0  # for the caller to bound

    def push(self, events: bytes) -> None:
        """Whole SSE events, comments among them. Raises msgspec.DecodeError for one that is no chunk."""
        self.taken_bytes += len(events)
        for data in _data_of(events):
            chunk = _chunks.decode(data)
            self._first = self._first or chunk
            if bytes(chunk.usage) not in _ABSENT:
                self._last.usage = chunk.usage
            if bytes(chunk.timings) not in _ABSENT:
                self._last.timings = chunk.timings
            for piece in chunk.choices:
                self._take(self._choices.setdefault(piece.index, _Parts()), piece)

    def body(self) -> bytes:
        """The answer as JSON."""
        first = self._first or _Chunk()
        answer = _Answer(
            id=first.id or "",
            object=_OBJECTS.get(self._api, ""),
            created=first.created or 0,
            model=first.model or "",
            choices=[self._choice(index, parts) for index, parts in sorted(self._choices.items())],
            system_fingerprint=first.system_fingerprint or msgspec.UNSET,
            usage=_said(self._last.usage),
            timings=_said(self._last.timings),
        )
        return msgspec.json.encode(answer)

    def _take(self, parts: _Parts, piece: _ChoicePiece) -> None:
        parts.finish_reason = piece.finish_reason or parts.finish_reason
        parts.add("text", piece.text)
        if piece.logprobs is not None:
            _take_logprobs(parts, piece.logprobs)
        if piece.delta is None:
            return
        for field in ("content", "reasoning", "reasoning_content", "refusal"):
            parts.add(field, getattr(piece.delta, field))
        for tool in piece.delta.tool_calls or ():
            _take_tool(parts, tool)

    def _choice(self, index: int, parts: _Parts) -> _Choice:
        finish_reason = parts.finish_reason or "stop"
        if self._api == "completions":
            return _Choice(index, finish_reason, parts.logprobs, text=parts.whole("text") or "")
        tools = [parts.tools[number] for number in sorted(parts.tools)]
        message = _Message(
            role="assistant",
            content=parts.whole("content"),
            reasoning=_or_unset(parts.whole("reasoning")),
            reasoning_content=_or_unset(parts.whole("reasoning_content")),
            refusal=parts.whole("refusal"),
            tool_calls=tools or msgspec.UNSET,
        )
        return _Choice(index, finish_reason, parts.logprobs, message=message)


def _data_of(events: bytes) -> Iterator[bytes]:
    for line in events.split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            yield data


def _take_tool(parts: _Parts, piece: ToolPiece) -> None:
    """The first piece of a call names it; later ones go on with its arguments."""
    tool = parts.tools.setdefault(piece.index, _Tool(id="", function=_Function()))
    tool.id = piece.id or tool.id
    if piece.function is not None:
        tool.function.name += piece.function.name or ""
        tool.function.arguments += piece.function.arguments or ""


def _take_logprobs(parts: _Parts, piece: _Logprobs) -> None:
    whole = parts.logprobs = parts.logprobs or {}
    for key, values in piece.items():
        whole[key] = values if key not in whole else [*(whole[key] or ()), *(values or ())]


def _said(value: msgspec.Raw) -> msgspec.Raw | msgspec.UnsetType:
    return value if bytes(value) not in _ABSENT else msgspec.UNSET


def _or_unset(text: str | None) -> str | msgspec.UnsetType:
    return msgspec.UNSET if text is None else text
