"""How each dialect asks, answers, streams, counts and complains."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cli.conformance.reading import (
    anthropic_error,
    at,
    count_at,
    events_in,
    list_at,
    ollama_error,
    openai_error,
    parsed,
    text_at,
)

Body = dict[str, object]


@dataclass(slots=True)
class Heard:
    """An answer, whole or streamed, in the same words for every dialect. `error` is one told inside a stream."""

    text: str = ""
    end: str = ""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    ids: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    path: str
    ask: Callable[[str, str, int], Body]  # model, prompt, most tokens of the answer
    hear: Callable[[object], Heard]
    listen: Callable[[bytes], Heard]
    error: Callable[[object], str | None]  # what is wrong with an error's shape

    def streamed(self, body: Body) -> Body:
        usage: Body = {"stream_options": {"include_usage": True}} if self.path.endswith("completions") else {}
        return {**body, "stream": True, **usage}


def _hear_openai(document: object) -> Heard:
    heard = Heard(text_at(document, "choices", 0, "message", "content") or text_at(document, "choices", 0, "text"))
    heard.end = text_at(document, "choices", 0, "finish_reason")
    heard.prompt_tokens = count_at(document, "usage", "prompt_tokens")
    heard.output_tokens = count_at(document, "usage", "completion_tokens")
    return heard


def _listen_openai(body: bytes) -> Heard:
    events, problems = events_in(body)
    heard = Heard(problems=problems)
    ends = [number for number, event in enumerate(events) if event.data == "[DONE]"]
    if ends != [len(events) - 1]:
        problems.append(f"{len(ends)} [DONE]" if len(ends) != 1 else "[DONE] is not the last event")
    for event in events:
        if event.data == "[DONE]":
            continue
        document = parsed(event.data)
        if document is None:
            problems.append(f"an event that is not JSON: {event.data[:40]!r}")
        elif at(document, "error") is not None:
            heard.error = text_at(document, "error", "message") or str(at(document, "error"))
        else:
            _add_chunk(heard, document)
    return heard


def _add_chunk(heard: Heard, document: object) -> None:
    heard.ids.add(text_at(document, "id"))
    if at(document, "usage") is not None:
        heard.prompt_tokens = count_at(document, "usage", "prompt_tokens")
        heard.output_tokens = count_at(document, "usage", "completion_tokens")
    for choice in list_at(document, "choices"):
        heard.text += text_at(choice, "delta", "content") or text_at(choice, "text")
        heard.end = text_at(choice, "finish_reason") or heard.end


def _hear_responses(document: object) -> Heard:
    parts = [part for item in list_at(document, "output") for part in list_at(item, "content")]
    heard = Heard("".join(text_at(part, "text") for part in parts))
    heard.end = {"incomplete": "length", "completed": "stop"}.get(text_at(document, "status"), "")
    heard.prompt_tokens = count_at(document, "usage", "input_tokens")
    heard.output_tokens = count_at(document, "usage", "output_tokens")
    return heard


def _named(body: bytes) -> tuple[list[tuple[str, object]], list[str]]:
    """Events whose data tell their own type, which has to be their name as well."""
    events, problems = events_in(body)
    found = [(event, parsed(event.data)) for event in events if event.data != "[DONE]"]
    for event, document in found:
        if text_at(document, "type") != event.name:
            problems.append(f"event {event.name or 'without a name'} says it is {text_at(document, 'type') or 'none'}")
            break
    return [(text_at(document, "type"), document) for _, document in found], problems


def _listen_responses(body: bytes) -> Heard:
    events, problems = _named(body)
    kind, last = events[-1] if events else ("", None)
    heard = _hear_responses(at(last, "response"))
    heard.problems = problems
    if kind not in ("response.completed", "response.incomplete", "response.failed"):
        problems.append(f"the last event is {kind or 'none'}")
    if [count_at(event, "sequence_number") for _, event in events] != list(range(len(events))):
        problems.append("sequence_number does not count 0, 1, 2 …")
    heard.error = text_at(last, "response", "error", "message") or None
    deltas = "".join(text_at(event, "delta") for name, event in events if name == "response.output_text.delta")
    if heard.error is None and deltas != heard.text:
        problems.append("the deltas are not the text of the last event")
    return heard


def _hear_messages(document: object) -> Heard:
    heard = Heard("".join(text_at(block, "text") for block in list_at(document, "content")))
    ends = {"max_tokens": "length", "end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls"}
    heard.end = ends.get(text_at(document, "stop_reason"), "")
    cached = (count_at(document, "usage", name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    prompt_tokens = count_at(document, "usage", "input_tokens")
    heard.prompt_tokens = None if prompt_tokens is None else prompt_tokens + sum(count or 0 for count in cached)
    heard.output_tokens = count_at(document, "usage", "output_tokens")
    return heard


def _listen_messages(body: bytes) -> Heard:
    events, problems = _named(body)
    kinds = [kind for kind, _ in events if kind != "ping"]
    begun = next((event for kind, event in events if kind == "message_start"), None)
    heard = _hear_messages(at(begun, "message"))
    heard.problems = problems
    for kind, event in events:
        if kind == "content_block_delta":
            heard.text += text_at(event, "delta", "text")
        elif kind == "message_delta":
            told = _hear_messages({"usage": at(event, "usage"), "stop_reason": at(event, "delta", "stop_reason")})
            heard.end, heard.output_tokens = told.end, told.output_tokens
            heard.prompt_tokens = told.prompt_tokens or heard.prompt_tokens  # the first was told before the engine was
        elif kind == "error":
            heard.error = text_at(event, "error", "message") or "an error without words"
    if not kinds or kinds[0] != "message_start":
        problems.append(f"begins with {kinds[0] if kinds else 'nothing'}")
    elif kinds[-1] not in ("message_stop", "error"):
        problems.append(f"ends with {kinds[-1]}")
    return heard


def _hear_ollama(document: object) -> Heard:
    heard = Heard(text_at(document, "message", "content") or text_at(document, "response"))
    heard.end = text_at(document, "done_reason")
    heard.prompt_tokens = count_at(document, "prompt_eval_count")
    heard.output_tokens = count_at(document, "eval_count")
    return heard


def _listen_ollama(body: bytes) -> Heard:
    lines = [parsed(line) for line in body.splitlines()]
    heard = _hear_ollama(lines[-1] if lines else None)
    heard.text = "".join(_hear_ollama(line).text for line in lines)
    heard.error = text_at(lines[-1], "error") or None if lines else None
    if None in lines:
        heard.problems.append("a line that is not JSON")
    if not body.endswith(b"\n"):
        heard.problems.append("ends inside a line")
    done = [number for number, line in enumerate(lines, 1) if at(line, "done") is True]
    if heard.error is None and (not lines or done != [len(lines)]):
        heard.problems.append("the last line, and only that, has to be `done`")
    return heard


def _chat(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "messages": _said(prompt), "max_tokens": limit, "temperature": 0}


def _completions(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "prompt": prompt, "max_tokens": limit, "temperature": 0}


def _responses(model: str, prompt: str, limit: int) -> Body:
    return {"model": model, "input": prompt, "max_output_tokens": limit, "temperature": 0}


def _ollama_chat(model: str, prompt: str, limit: int) -> Body:
    options = {"num_predict": limit, "temperature": 0}
    return {"model": model, "messages": _said(prompt), "options": options, "stream": False}


def _ollama_generate(model: str, prompt: str, limit: int) -> Body:
    options = {"num_predict": limit, "temperature": 0}
    return {"model": model, "prompt": prompt, "options": options, "stream": False}


def _said(prompt: str) -> list[Body]:
    return [{"role": "user", "content": prompt}]


CHAT = Dialect("chat", "/v1/chat/completions", _chat, _hear_openai, _listen_openai, openai_error)
DIALECTS = (
    CHAT,
    Dialect("completions", "/v1/completions", _completions, _hear_openai, _listen_openai, openai_error),
    Dialect("responses", "/v1/responses", _responses, _hear_responses, _listen_responses, openai_error),
    Dialect("messages", "/v1/messages", _chat, _hear_messages, _listen_messages, anthropic_error),
    Dialect("ollama chat", "/api/chat", _ollama_chat, _hear_ollama, _listen_ollama, ollama_error),
    Dialect("ollama generate", "/api/generate", _ollama_generate, _hear_ollama, _listen_ollama, ollama_error),
)
