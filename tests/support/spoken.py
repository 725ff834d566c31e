"""One question in every dialect, as raw HTTP, and what came of it: the same facts whatever the dialect calls them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import httpx2

Case = Literal["plain", "tools", "forced tool", "json_schema", "stop", "over-long prompt", "engine killed"]
CASES: tuple[Case, ...] = (
    "plain", "tools", "forced tool", "json_schema", "stop", "over-long prompt", "engine killed",
)  # fmt: skip
QUESTION, STOP = "Say a word.", "END"
SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOL = {"name": "weather", "description": "of a town", "parameters": SCHEMA}
TOOL_CASES = ("tools", "forced tool")


@dataclass
class Said:
    """`end`: stop, length or tool_calls. `proper`: it ended as its dialect ends, with an answer or with an error."""

    status: int
    text: str = ""
    tools: list[tuple[str, Any]] = field(default_factory=list)
    end: str | None = None
    error: str | None = None
    proper: bool = True
    output_tokens: int | None = None


class Dialect(Protocol):
    path: str
    cases: tuple[Case, ...]

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]: ...
    def whole(self, said: Said, answer: dict[str, Any]) -> None: ...
    def stream(self, said: Said, lines: list[str]) -> None: ...
    def error(self, answer: dict[str, Any]) -> str: ...


async def ask(
    http: httpx2.AsyncClient,
    dialect: Dialect,
    model: str,
    case: Case,
    streamed: bool,
    limit: int = 40,
    prompt: str = QUESTION,
    stop: str = STOP,
) -> Said:
    """`limit`: tokens of the answer. `stop`: the text that ends it, in the case of that name."""
    body = json.dumps(dialect.body(model, case, prompt, limit, streamed)).replace(f'"{STOP}"', json.dumps(stop))
    answer = await http.post(dialect.path, content=body, headers={"content-type": "application/json"})
    said = Said(answer.status_code)
    if answer.status_code != 200:
        said.error = dialect.error(answer.json())
    elif streamed:
        dialect.stream(said, answer.text.splitlines())
    else:
        dialect.whole(said, answer.json())
    return said


def events(lines: list[str]) -> list[dict[str, Any]]:
    """Of server-sent events, without the marker of the end."""
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"]


class Chat:
    path = "/v1/chat/completions"
    cases = CASES

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": limit}
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if case in TOOL_CASES:
            body["tools"] = [{"type": "function", "function": TOOL}]
        if case == "forced tool":
            body["tool_choice"] = {"type": "function", "function": {"name": TOOL["name"]}}
        if case == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
        if case == "stop":
            body["stop"] = [STOP]
        return body

    def whole(self, said: Said, answer: dict[str, Any]) -> None:
        (choice,) = answer["choices"]
        message = choice["message"]
        said.text, said.end = message["content"] or "", choice["finish_reason"]
        said.tools = [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        said.output_tokens = answer["usage"]["completion_tokens"]

    def stream(self, said: Said, lines: list[str]) -> None:
        calls: dict[int, list[str]] = {}
        for event in events(lines):
            if "error" in event:
                said.error = event["error"]["code"]
                continue
            if event.get("usage"):
                said.output_tokens = event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                delta = choice["delta"]
                said.text += delta.get("content") or ""
                for piece in delta.get("tool_calls") or ():
                    call = calls.setdefault(piece["index"], ["", ""])
                    call[0] += piece["function"].get("name") or ""
                    call[1] += piece["function"].get("arguments") or ""
                said.end = choice.get("finish_reason") or said.end
        said.tools = [(name, json.loads(arguments)) for name, arguments in calls.values()] if said.error is None else []
        said.proper = lines[-2:] == ["data: [DONE]", ""] or lines[-1] == "data: [DONE]"

    def error(self, answer: dict[str, Any]) -> str:
        code: str = answer["error"]["code"]
        return code


class Completions:
    path = "/v1/completions"
    cases: tuple[Case, ...] = ("plain", "stop", "over-long prompt", "engine killed")

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "prompt": prompt, "max_tokens": limit}
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | ({"stop": [STOP]} if case == "stop" else {})

    def whole(self, said: Said, answer: dict[str, Any]) -> None:
        (choice,) = answer["choices"]
        said.text, said.end, said.output_tokens = (
            choice["text"],
            choice["finish_reason"],
            answer["usage"]["completion_tokens"],
        )

    def stream(self, said: Said, lines: list[str]) -> None:
        for event in events(lines):
            if "error" in event:
                said.error = event["error"]["code"]
                continue
            if event.get("usage"):
                said.output_tokens = event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                said.text += choice["text"]
                said.end = choice.get("finish_reason") or said.end
        said.proper = "data: [DONE]" in lines[-2:]

    error = Chat.error


class Messages:
    path = "/v1/messages"
    cases = CASES
    ends: Mapping[str, str] = {
        "end_turn": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "stop_sequence": "stop",
    }

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": limit}
        body |= {"stream": True} if streamed else {}
        if case in TOOL_CASES:
            body["tools"] = [{"name": TOOL["name"], "description": "of a town", "input_schema": SCHEMA}]
        if case == "forced tool":
            body["tool_choice"] = {"type": "tool", "name": TOOL["name"]}
        if case == "json_schema":
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if case == "stop":
            body["stop_sequences"] = [STOP]
        return body

    def whole(self, said: Said, answer: dict[str, Any]) -> None:
        for block in answer["content"]:
            if block["type"] == "text":
                said.text += block["text"]
            if block["type"] == "tool_use":
                said.tools.append((block["name"], block["input"]))
        said.end, said.output_tokens = self.ends[answer["stop_reason"]], answer["usage"]["output_tokens"]

    def stream(self, said: Said, lines: list[str]) -> None:
        calls: dict[int, list[str]] = {}
        last = ""
        for event in events(lines):
            last = event["type"]
            match event:
                case {"type": "error", "error": {"type": kind}}:
                    said.error = kind
                case {"type": "content_block_start", "index": at, "content_block": {"type": "tool_use", "name": name}}:
                    calls[at] = [name, ""]
                case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}:
                    said.text += text
                case {"type": "content_block_delta", "index": at, "delta": {"partial_json": piece}}:
                    calls[at][1] += piece
                case {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}:
                    said.end, said.output_tokens = self.ends[reason], usage["output_tokens"]
        said.tools = [(name, json.loads(text or "{}")) for name, text in calls.values()] if said.error is None else []
        said.proper = last in ("message_stop", "error")

    def error(self, answer: dict[str, Any]) -> str:
        kind: str = answer["error"]["type"]
        return kind


class Responses:
    path = "/v1/responses"
    cases: tuple[Case, ...] = tuple(case for case in CASES if case != "stop")  # it has no such field

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "input": prompt, "max_output_tokens": limit}
        body |= {"stream": True} if streamed else {}
        if case in TOOL_CASES:
            body["tools"] = [{"type": "function", **TOOL}]
        if case == "forced tool":
            body["tool_choice"] = {"type": "function", "name": TOOL["name"]}
        if case == "json_schema":
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
        return body

    def whole(self, said: Said, answer: dict[str, Any]) -> None:
        for item in answer["output"]:
            if item["type"] == "message":
                said.text += "".join(part["text"] for part in item["content"])
            if item["type"] == "function_call":
                said.tools.append((item["name"], json.loads(item["arguments"])))
        said.end = "length" if answer["status"] == "incomplete" else "tool_calls" if said.tools else "stop"
        said.output_tokens = answer["usage"]["output_tokens"]

    def stream(self, said: Said, lines: list[str]) -> None:
        told = events(lines)
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        last = told[-1]
        if last["type"] == "response.failed":
            said.error = last["response"]["error"]["code"]
        else:
            self.whole(said, last["response"])
        said.proper = last["type"] in ("response.completed", "response.incomplete", "response.failed")
        deltas = "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta")
        assert said.error is not None or deltas == said.text

    error = Chat.error


class OllamaChat:
    path = "/api/chat"
    cases: tuple[Case, ...] = tuple(case for case in CASES if case != "forced tool")  # it has no such field

    def body(self, model: str, case: Case, prompt: str, limit: int, streamed: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"num_predict": limit, **({"stop": [STOP]} if case == "stop" else {})}
        body = {"model": model, "stream": streamed, "options": options, **self._asked(prompt)}
        if case in TOOL_CASES:
            body["tools"] = [{"type": "function", "function": TOOL}]
        return body | ({"format": SCHEMA} if case == "json_schema" else {})

    def _asked(self, prompt: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}]}

    def whole(self, said: Said, answer: dict[str, Any]) -> None:
        self.stream(said, [json.dumps(answer)])

    def stream(self, said: Said, lines: list[str]) -> None:
        for line in map(json.loads, lines):
            if "error" in line:
                said.error, said.proper = self.error(line), True
                return
            message = line.get("message", {})
            said.text += message.get("content") or line.get("response") or ""
            for call in message.get("tool_calls") or ():
                said.tools.append((call["function"]["name"], call["function"]["arguments"]))
            said.proper = line["done"]
            if line["done"]:
                said.end, said.output_tokens = line["done_reason"], line["eval_count"]
        said.end = "tool_calls" if said.tools else said.end  # Ollama calls it a stop

    def error(self, answer: dict[str, Any]) -> str:
        text: str = answer["error"]
        return "said in words" if text else "nothing said"


class OllamaGenerate(OllamaChat):
    path = "/api/generate"
    cases: tuple[Case, ...] = tuple(case for case in CASES if case not in TOOL_CASES)

    def _asked(self, prompt: str) -> dict[str, Any]:
        return {"prompt": prompt}


DIALECTS: Mapping[str, Dialect] = {
    "chat": Chat(),
    "completions": Completions(),
    "messages": Messages(),
    "responses": Responses(),
    "ollama_chat": OllamaChat(),
    "ollama_generate": OllamaGenerate(),
}
