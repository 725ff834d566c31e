"""Anthropic's answers: an engine's chat completion as a message, its chunks as the events of one."""

from collections.abc import Callable
from typing import Literal

import msgspec

from router.dialects.error_shapes import anthropic
from router.dialects.heard import Chunk, Counted, Delta, ToolPiece, answer_in, chunks_in
from router.dialects.named_events import named_event
from router.errors import ApiError

StopReason = Literal["end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal"]
_REASONS: dict[str, StopReason] = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal",
}  # fmt: skip


class Thinking(msgspec.Struct, frozen=True):
    thinking_tokens: int


class Usage(msgspec.Struct, frozen=True):
    """Anthropic counts what a cache had apart from the rest of a prompt."""

    input_tokens: int
    output_tokens: int
    output_tokens_details: Thinking
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation: None = None
    server_tool_use: None = None
    service_tier: Literal["standard"] = "standard"
    inference_geo: None = None


class TextContent(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    text: str
    citations: None = None


class ThinkingContent(msgspec.Struct, frozen=True, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class Caller(msgspec.Struct, frozen=True):
    """The model itself, and no program of Anthropic's."""

    type: Literal["direct"] = "direct"


class ToolContent(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: dict[str, object]
    caller: Caller = Caller()


Content = TextContent | ThinkingContent | ToolContent


class Message(msgspec.Struct, frozen=True):
    id: str
    model: str
    content: list[Content]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: Usage
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    container: None = None
    stop_details: None = None


class _TextDelta(msgspec.Struct, frozen=True, tag_field="type", tag="text_delta"):
    text: str


class _ThinkingDelta(msgspec.Struct, frozen=True, tag_field="type", tag="thinking_delta"):
    thinking: str


class _SignatureDelta(msgspec.Struct, frozen=True, tag_field="type", tag="signature_delta"):
    signature: str


class _JsonDelta(msgspec.Struct, frozen=True, tag_field="type", tag="input_json_delta"):
    partial_json: str


class MessageStart(msgspec.Struct, frozen=True, tag_field="type", tag="message_start"):
    message: Message


class BlockStart(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_start"):
    index: int
    content_block: Content


class BlockDelta(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_delta"):
    index: int
    delta: _TextDelta | _ThinkingDelta | _SignatureDelta | _JsonDelta


class BlockStop(msgspec.Struct, frozen=True, tag_field="type", tag="content_block_stop"):
    index: int


class _End(msgspec.Struct, frozen=True):
    stop_reason: StopReason
    stop_sequence: str | None
    container: None = None
    stop_details: None = None


class MessageDelta(msgspec.Struct, frozen=True, tag_field="type", tag="message_delta"):
    delta: _End
    usage: Usage


class MessageStop(msgspec.Struct, frozen=True, tag_field="type", tag="message_stop"):
    pass


Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class MessagesVoice:
    """Implements router.request.Voice. One block is open at a time, as Anthropic's clients expect."""

    content_type = b"text/event-stream; charset=utf-8"
    comments = True

    def __init__(self, message_id: str, model: str, prompt_tokens: int, stops: frozenset[str]) -> None:
        self._id, self._model, self._stops = message_id, model, stops
        self._usage = Counted(prompt_tokens)  # as judged, until the engine tells
        self._index = -1  # of the block that is open, or was last
        self._open: str | int | None = None  # "text", "thinking", or the engine's number of a tool call
        self._end = _End("end_turn", None)
        self._begun = False

    def whole(self, body: bytes) -> bytes:
        answer = answer_in(body)
        choice, message = answer.choices[0], answer.choices[0].message
        content: list[Content] = []
        if message.thought:
            content.append(ThinkingContent(message.thought))
        if message.content or message.refusal:
            content.append(TextContent(message.content or message.refusal or ""))
        for tool in message.tool_calls or ():
            content.append(self._tool(tool, _arguments(tool)))
        end = self._ending(choice.finish_reason or "stop", choice.stop_reason)
        return _encode(self._message(content, end, answer.usage or self._usage))

    def events(self, events: bytes) -> bytes:
        told: list[Event] = []
        for chunk in chunks_in(events):
            if chunk is None:
                self._finish(told)
            else:
                self._hear(chunk, told)
        return b"".join(map(named_event, told)) if told else _comments(events)

    def broken(self, error: ApiError) -> bytes:
        return b"event: error\ndata: %b\n\n" % anthropic(error, self._id.removeprefix("msg_"))

    def _hear(self, chunk: Chunk, told: list[Event]) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._begin(told)
        for piece in chunk.choices[:1]:
            if piece.delta is not None:
                self._say(piece.delta, told)
            if piece.finish_reason is not None:
                self._end = self._ending(piece.finish_reason, piece.stop_reason)

    def _begin(self, told: list[Event]) -> None:
        if not self._begun:
            self._begun = True
            told.append(MessageStart(self._message([], None, self._usage)))

    def _say(self, delta: Delta, told: list[Event]) -> None:
        if delta.thought:
            self._turn_to("thinking", ThinkingContent(""), told)
            told.append(BlockDelta(self._index, _ThinkingDelta(delta.thought)))
        if text := delta.content or delta.refusal:
            self._turn_to("text", TextContent(""), told)
            told.append(BlockDelta(self._index, _TextDelta(text)))
        for tool in delta.tool_calls or ():
            self._turn_to(tool.index, self._tool(tool, {}), told)
            if tool.function is not None and tool.function.arguments:
                told.append(BlockDelta(self._index, _JsonDelta(tool.function.arguments)))

    def _turn_to(self, what: str | int, block: Content, told: list[Event]) -> None:
        if self._open != what:
            self._close(told)
            self._open, self._index = what, self._index + 1
            told.append(BlockStart(self._index, block))

    def _close(self, told: list[Event]) -> None:
        if self._open == "thinking":
            told.append(BlockDelta(self._index, _SignatureDelta("")))  # clients keep it with the thoughts
        if self._open is not None:
            told.append(BlockStop(self._index))
        self._open = None

    def _finish(self, told: list[Event]) -> None:
        self._begin(told)
        self._close(told)
        told += [MessageDelta(self._end, _usage(self._usage)), MessageStop()]

    def _tool(self, tool: ToolPiece, arguments: dict[str, object]) -> ToolContent:
        name = (tool.function.name if tool.function is not None else None) or ""
        return ToolContent(tool.id or f"toolu_{self._id}_{tool.index}", name, arguments)

    def _message(self, content: list[Content], end: _End | None, usage: Counted) -> Message:
        reason, stop = (None, None) if end is None else (end.stop_reason, end.stop_sequence)
        return Message(self._id, self._model, content, reason, stop, _usage(usage))

    def _ending(self, finish_reason: str, stop_reason: str | int | None) -> _End:
        """Only vLLM tells which of the client's texts ended an answer."""
        if isinstance(stop_reason, str) and stop_reason in self._stops:
            return _End("stop_sequence", stop_reason)
        return _End(_REASONS.get(finish_reason, "end_turn"), None)


def _usage(counted: Counted) -> Usage:
    read = max(0, counted.prompt_tokens - counted.cached)
    return Usage(read, counted.completion_tokens, Thinking(counted.reasoning), counted.cached)


def _arguments(tool: ToolPiece) -> dict[str, object]:
    """Nothing where they are no JSON object, as those of an answer that its limit cut off."""
    text = (tool.function.arguments if tool.function is not None else None) or "{}"
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def _comments(events: bytes) -> bytes:
    """An engine's own, which keep the client waiting as well."""
    return events if events.startswith(b":") else b""
