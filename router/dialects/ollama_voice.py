"""Ollama's answers: an engine's answer as one JSON object, its chunks as one a line, the last of which counts.

Times are the engine's own, where it tells them, and left out where it does not; `created_at` is when the request came.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from router.dialects.error_shapes import ollama
from router.dialects.heard import Answer, Chunk, Counted, Delta, Timings, ToolPiece, chunks_in
from router.errors import ApiError

DoneReason = Literal["stop", "length"]
NANOSECONDS = 1_000_000  # in a millisecond, which engines count in


class MadeFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, object]
    index: int


class Made(msgspec.Struct, frozen=True):
    """A call of a tool."""

    id: str
    function: MadeFunction


class AnswerMessage(msgspec.Struct, frozen=True):
    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: list[Made] | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"


class Said(NamedTuple):
    """What one line says of an answer."""

    text: str = ""
    thought: str | None = None
    calls: tuple[Made, ...] = ()


class Line(msgspec.Struct, kw_only=True):
    """A whole answer, or one line of it. All but the first three are in the last line only, and `logprobs` in any."""

    model: str
    created_at: str
    done: bool = False
    done_reason: DoneReason | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    logprobs: list[msgspec.Raw] | UnsetType = UNSET

    @classmethod
    def of(cls, model: str, created_at: str, said: Said) -> "Line":
        raise NotImplementedError


class ChatLine(Line, kw_only=True):
    message: AnswerMessage

    @classmethod
    def of(cls, model: str, created_at: str, said: Said) -> Line:
        calls = list(said.calls) if said.calls else UNSET
        message = AnswerMessage(said.text, said.thought or UNSET, calls)
        return cls(model=model, created_at=created_at, message=message)


class GenerateLine(Line, kw_only=True):
    response: str
    thinking: str | UnsetType = UNSET

    @classmethod
    def of(cls, model: str, created_at: str, said: Said) -> Line:
        return cls(model=model, created_at=created_at, response=said.text, thinking=said.thought or UNSET)


class _Logprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


class _Call:
    """As much of a call as has come."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = self.arguments = ""


_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
_logprobs = msgspec.json.Decoder(_Logprobs)


class OllamaVoice:
    """Implements router.request.Voice. Calls of tools are told whole, so what comes of one waits for its end."""

    content_type = b"application/x-ndjson"
    comments = False  # a line that is no answer would break a client

    def __init__(self, line: type[Line], read: Callable[[bytes], Answer], model: str, arrived_wall_s: float) -> None:
        self._form, self._read, self._model = line, read, model
        self._created_at = datetime.fromtimestamp(arrived_wall_s, UTC).isoformat().replace("+00:00", "Z")
        self._calls: dict[int, _Call] = {}
        self._usage: Counted | None = None
        self._timings: Timings | None = None
        self._reason: DoneReason = "stop"

    def whole(self, body: bytes) -> bytes:
        answer = self._read(body)
        choice, message = answer.choices[0], answer.choices[0].message
        self._usage, self._timings = answer.usage, answer.timings
        self._reason = _reason(choice.finish_reason)
        for at, tool in enumerate(message.tool_calls or ()):
            self._take(at, tool)
        calls, unread = self._made()
        line = self._line(Said(_text(message) + unread, message.thought, calls), choice.logprobs)
        return _encode(self._last(line))

    def events(self, events: bytes) -> bytes:
        lines: list[Line] = []
        for chunk in chunks_in(events):
            lines.extend(self._end() if chunk is None else self._hear(chunk))
        return b"".join(_encode(line) + b"\n" for line in lines)

    def broken(self, error: ApiError) -> bytes:
        return ollama(error, "") + b"\n"

    def _hear(self, chunk: Chunk) -> Iterator[Line]:
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        for piece in chunk.choices[:1]:
            if piece.finish_reason is not None:
                self._reason = _reason(piece.finish_reason)
            delta = piece.delta or Delta(piece.text)
            for tool in delta.tool_calls or ():
                self._take(tool.index, tool)
            text = _text(delta)
            if text or delta.thought:
                yield self._line(Said(text, delta.thought), piece.logprobs)

    def _end(self) -> Iterator[Line]:
        calls, unread = self._made()
        if calls or unread:
            yield self._line(Said(unread, None, calls))
        yield self._last(self._line(Said()))

    def _line(self, said: Said, logprobs: msgspec.Raw | None = None) -> Line:
        line = self._form.of(self._model, self._created_at, said)
        if logprobs is not None and (told := bytes(logprobs)) not in (b"", b"null"):
            line.logprobs = _logprobs.decode(told).content or UNSET
        return line

    def _last(self, line: Line) -> Line:
        """With the end, and what the answer took."""
        line.done, line.done_reason = True, self._reason
        if self._usage is not None:
            line.prompt_eval_count, line.eval_count = self._usage.prompt_tokens, self._usage.completion_tokens
        if self._timings is not None:
            prompt_ms, answer_ms = self._timings.prompt_ms, self._timings.predicted_ms
            line.prompt_eval_duration = int(prompt_ms * NANOSECONDS)
            line.eval_duration = int(answer_ms * NANOSECONDS)
            line.total_duration = line.prompt_eval_duration + line.eval_duration
        return line

    def _take(self, at: int, piece: ToolPiece) -> None:
        call = self._calls.setdefault(at, _Call())
        call.id = piece.id or call.id
        if piece.function is not None:
            call.name += piece.function.name or ""
            call.arguments += piece.function.arguments or ""

    def _made(self) -> tuple[tuple[Made, ...], str]:
        """Calls, and as text those whose arguments are no JSON object: Ollama's clients get objects, and a model that
        was cut short or wrote nonsense is no fault of its engine."""
        made: list[Made] = []
        unread = ""
        for index, (at, call) in enumerate(sorted(self._calls.items())):
            try:
                arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, object])
            except msgspec.DecodeError:
                unread += f"{call.name}({call.arguments})"
            else:
                made.append(Made(call.id or f"call_{at}", MadeFunction(call.name, arguments, index)))
        return tuple(made), unread


def _text(delta: Delta) -> str:
    return delta.content or delta.refusal or ""


def _reason(finish_reason: str | None) -> DoneReason:
    return "length" if finish_reason == "length" else "stop"
