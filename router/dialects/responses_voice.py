"""OpenAI's Responses: an engine's chat completion as a response, its chunks as the events of one."""

from collections.abc import Callable
from typing import Literal

import msgspec

from inventory.clock import Clock
from router.dialects.heard import Chunk, Counted, Delta, ToolPiece, answer_in, chunks_in
from router.dialects.named_events import named_event
from router.dialects.responses_answer import (
    Completed,
    Created,
    EndedEarly,
    Event,
    Failed,
    Incomplete,
    InProgress,
    InputDetails,
    Logprob,
    OutputDetails,
    Response,
    ResponseError,
    TopLogprob,
    Usage,
)
from router.dialects.responses_items import Said, Search, Thoughts, ToolNames, ToolUse, Words
from router.errors import STREAM_DONE, ApiError
from router.file_search import Searched

_INCOMPLETE: dict[str, Literal["max_output_tokens", "content_filter"]] = {
    "length": "max_output_tokens", "content_filter": "content_filter",
}  # fmt: skip
_OVER_LONG = "context_length_exceeded"


class _HeardTop(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _HeardLogprob(_HeardTop):
    top_logprobs: list[_HeardTop] = []


class _HeardLogprobs(msgspec.Struct):
    content: list[_HeardLogprob] | None = None


_logprobs = msgspec.json.Decoder(_HeardLogprobs | None)
_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class ResponsesVoice:
    """Implements router.request.Voice. Words and thoughts are open one at a time; calls stay open until the end, as an
    engine may go back to one."""

    content_type = b"text/event-stream; charset=utf-8"
    comments = True

    def __init__(self, response: Response, names: ToolNames, logprobs: bool, clock: Clock) -> None:
        self._response, self._names, self._logprobs, self._clock = response, names, logprobs, clock
        self._searched: Searched | None = None
        self._said: list[Said] = []
        self._talk: Words | Thoughts | None = None  # open
        self._calls: dict[int, ToolUse] = {}
        self._finish_reason = "stop"
        self._usage: Usage | None = None
        self._told = 0  # events

    def citing(self, searched: Searched) -> "ResponsesVoice":
        """This one, of which nothing has been heard yet."""
        self._searched = searched
        return self

    def whole(self, body: bytes) -> bytes:
        answer = answer_in(body)
        choice = answer.choices[0]
        self._search([])
        for at, tool in enumerate(choice.message.tool_calls or ()):
            tool.index = at  # a whole answer numbers none
        self._hear(choice.message, choice.logprobs, [])
        self._finish_reason = choice.finish_reason or "stop"
        self._usage = _usage(answer.usage)
        return _encode(self._finish([]).response)

    def events(self, events: bytes) -> bytes:
        told: list[Event] = []
        end = b""
        for chunk in chunks_in(events):
            if chunk is None:
                self._begin(told)
                told.append(self._finish(told))
                end = STREAM_DONE
            else:
                self._take(chunk, told)
        if not told:
            return events if events.startswith(b":") else b""  # an engine's own comments keep the client waiting too
        return b"".join(map(self._event, told)) + end

    def broken(self, error: ApiError) -> bytes:
        told: list[Event] = []
        self._begin(told)
        output = [said.item(said.closed_as or "incomplete") for said in self._said]
        why = ResponseError(_code(error), error.message, error.code, error.param)
        told.append(Failed(msgspec.structs.replace(self._response, status="failed", output=output, error=why)))
        return b"".join(map(self._event, told)) + STREAM_DONE

    def _take(self, chunk: Chunk, told: list[Event]) -> None:
        self._begin(told)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for piece in chunk.choices[:1]:
            if piece.delta is not None:
                self._hear(piece.delta, piece.logprobs, told)
            self._finish_reason = piece.finish_reason or self._finish_reason

    def _begin(self, told: list[Event]) -> None:
        if not self._told and not told:
            told += [Created(self._response), InProgress(self._response)]
            self._search(told)

    def _search(self, told: list[Event]) -> None:
        """What was looked for at the client's own wish is an item of the answer, its first."""
        if self._searched is not None and self._searched.by_tool is not None:
            search = Search(self._item_id("fs"), 0, self._searched)
            self._open(search, told)
            told += search.close("completed")

    def _hear(self, delta: Delta, logprobs: msgspec.Raw, told: list[Event]) -> None:
        if delta.thought:
            told.append(self._thinking(told).more(delta.thought))
        if text := delta.content or delta.refusal:
            told.append(self._words(told).more(text, _probable(logprobs) if self._logprobs else []))
        for tool in delta.tool_calls or ():
            call = self._calls.get(tool.index) or self._call(tool, told)
            if tool.function is not None and tool.function.arguments:
                told.append(call.more(tool.function.arguments))

    def _words(self, told: list[Event]) -> Words:
        if isinstance(self._talk, Words):
            return self._talk
        self._quiet(told)
        passages = self._searched.passages if self._searched is not None else ()
        self._talk = words = Words(self._item_id("msg"), len(self._said), passages)
        self._open(words, told)
        return words

    def _thinking(self, told: list[Event]) -> Thoughts:
        if isinstance(self._talk, Thoughts):
            return self._talk
        self._quiet(told)
        self._talk = thoughts = Thoughts(self._item_id("rs"), len(self._said))
        self._open(thoughts, told)
        return thoughts

    def _call(self, tool: ToolPiece, told: list[Event]) -> ToolUse:
        self._quiet(told)
        name = (tool.function.name if tool.function is not None else None) or ""
        call_id = tool.id or self._item_id("call")
        call = self._calls[tool.index] = ToolUse(self._item_id("fc"), len(self._said), call_id, name, self._names)
        self._open(call, told)
        return call

    def _open(self, said: Said, told: list[Event]) -> None:
        self._said.append(said)
        told += said.opening()

    def _quiet(self, told: list[Event]) -> None:
        if self._talk is not None:
            told += self._talk.close("completed")
            self._talk = None

    def _finish(self, told: list[Event]) -> Completed | EndedEarly:
        """The last event. What is open when an answer ends early is not complete."""
        if all(isinstance(said, Search) for said in self._said):
            self._words(told)  # an answer without a word is an empty message
        why = _INCOMPLETE.get(self._finish_reason)
        for said in self._said:
            if said.closed_as is None:
                told += said.close("completed" if why is None else "incomplete")
        response = msgspec.structs.replace(
            self._response,
            status="completed" if why is None else "incomplete",
            incomplete_details=None if why is None else Incomplete(why),
            output=[said.item(said.closed_as or "completed") for said in self._said],
            completed_at=int(self._clock.wall_s()) if why is None else None,
            usage=self._usage,
        )
        return Completed(response) if why is None else EndedEarly(response)

    def _item_id(self, kind: str) -> str:
        return f"{kind}_{self._response.id.removeprefix('resp_')}_{len(self._said)}"

    def _event(self, event: Event) -> bytes:
        event.sequence_number, self._told = self._told, self._told + 1
        return named_event(event)


def _usage(counted: Counted | None) -> Usage | None:
    if counted is None:
        return None
    return Usage(
        counted.prompt_tokens,
        InputDetails(counted.cached),
        counted.completion_tokens,
        OutputDetails(counted.reasoning),
        counted.prompt_tokens + counted.completion_tokens,
    )


def _probable(raw: msgspec.Raw) -> list[Logprob]:
    """Raises msgspec.DecodeError for what is not OpenAI's."""
    heard = _logprobs.decode(raw) if bytes(raw) else None
    return [
        Logprob(one.token, one.logprob, _bytes_of(one), [_top(other) for other in one.top_logprobs])
        for one in (heard.content or () if heard is not None else ())
    ]


def _top(heard: _HeardTop) -> TopLogprob:
    return TopLogprob(heard.token, heard.logprob, _bytes_of(heard))


def _bytes_of(heard: _HeardTop) -> list[int]:
    return heard.bytes if heard.bytes is not None else list(heard.token.encode())


def _code(error: ApiError) -> str:
    """One of OpenAI's, which clients act on: they come again for the first two, and cut a conversation for the last."""
    if error.status == 429:
        return "rate_limit_exceeded"
    if error.status >= 500:
        return "server_error"
    return _OVER_LONG if error.code == _OVER_LONG else "invalid_prompt"
