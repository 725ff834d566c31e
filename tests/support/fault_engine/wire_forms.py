"""The bodies the fault engine sends: OpenAI objects, errors and metrics as vLLM, llama.cpp and mlx write them."""

import json
from dataclasses import dataclass
from typing import Any

from support.fault_engine.answers import Answer
from support.fault_engine.script import Turn


@dataclass
class Shape:
    """How one request wants its answer."""

    dialect: str
    chat: bool
    model: str
    created: int
    body: dict[str, Any]

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def choices(self) -> int:
        return 1 if self.dialect == "mlx" else int(self.body.get("n") or 1)

    @property
    def tells_progress(self) -> bool:
        return self.stream and self.dialect == "llamacpp" and bool(self.body.get("return_progress"))

    def _base(self, streamed: bool) -> dict[str, Any]:
        kind = ("chat.completion" if self.chat else "text_completion") + (".chunk" if streamed and self.chat else "")
        name = "chatcmpl-fault" if self.chat else "cmpl-fault"
        return {"id": name, "object": kind, "created": self.created, "model": self.model}

    def progress(self, answer: Answer, processed: int) -> dict[str, Any]:
        """llama.cpp's way through a prompt."""
        (opening, *_) = self._events({"delta": {"role": "assistant", "content": None}} if self.chat else {"text": ""})
        return {**opening, "prompt_progress": {"total": answer.prompt, "cache": answer.cached, "processed": processed}}

    def chunks(self, text: str, first: bool) -> list[dict[str, Any]]:
        """An event for every choice."""
        if self.chat:
            return self._events({"delta": {"role": "assistant", "content": text} if first else {"content": text}})
        return self._events({"text": text})

    def piece(self, delta: dict[str, Any]) -> list[dict[str, Any]]:
        """Of a scripted answer."""
        return self._events({"delta": delta})

    def ending(self, answer: Answer, why: str = "length") -> list[dict[str, Any]]:
        """llama.cpp counts every choice by itself."""
        last = self._events({"delta": {}} if self.chat else {"text": ""}, why)
        if not self.include_usage:
            return last
        counted = self.choices if self.dialect == "llamacpp" else 1
        count = {**self._base(streamed=True), "choices": [], "usage": self._usage(answer, counted)}
        return [*last, *[count] * counted]

    def whole(self, text: str, answer: Answer) -> bytes:
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        )
        choices = [
            {"index": index, **content, "logprobs": None, "finish_reason": "length"} for index in range(self.choices)
        ]
        return json.dumps({**self._base(streamed=False), "choices": choices, "usage": self._usage(answer, 1)}).encode()

    def told(self, turn: Turn, answer: Answer) -> bytes:
        """A scripted answer, whole."""
        choice = {
            "index": 0,
            "message": turn.message(self.dialect),
            "logprobs": None,
            "finish_reason": turn.finish_reason,
        }
        body = {**self._base(streamed=False), "choices": [choice], "usage": self._usage(answer, 1)}
        return json.dumps(body).encode()

    def _events(self, content: dict[str, Any], finish_reason: str | None = None) -> list[dict[str, Any]]:
        return [
            {
                **self._base(streamed=True),
                "choices": [{"index": index, **content, "logprobs": None, "finish_reason": finish_reason}],
            }
            for index in range(self.choices)
        ]

    def _usage(self, answer: Answer, counted: int) -> dict[str, Any]:
        """What each engine tells: of the cache not vLLM, of reasoning vLLM alone."""
        tokens = answer.tokens // counted
        usage: dict[str, Any] = {
            "prompt_tokens": answer.prompt,
            "completion_tokens": tokens,
            "total_tokens": answer.prompt + tokens,
        }
        if self.dialect != "vllm":
            usage["prompt_tokens_details"] = {"cached_tokens": answer.cached}
        elif answer.reasoning:
            usage["completion_tokens_details"] = {"reasoning_tokens": answer.reasoning}
        return usage


def error(dialect: str, status: int, message: str) -> bytes:
    if dialect == "mlx":
        return json.dumps({"error": message}).encode()
    kind = {401: "authentication_error", 503: "unavailable_error"}.get(status, "invalid_request_error")
    body = {"message": message, "type": kind, "code": status}
    if dialect == "vllm":
        body["param"] = None
    return json.dumps({"error": body}).encode()


def too_long(dialect: str, words: int, context: int) -> bytes:
    if dialect != "llamacpp":
        return error(dialect, 400, f"This model's maximum context length is {context} tokens; the prompt has {words}.")
    said = f"the request exceeds the available context size ({words} of {context} tokens), try increasing it"
    return json.dumps({"error": {"code": 400, "message": said, "type": "exceed_context_size_error"}}).encode()


def models(name: str, context: int, created: int) -> bytes:
    entry = {"id": name, "object": "model", "created": created, "owned_by": "fault", "max_model_len": context}
    return json.dumps({"object": "list", "data": [entry]}).encode()


def slots(count: int, context: int, active: int) -> bytes:
    return json.dumps([{"id": n, "n_ctx": context, "is_processing": n < active} for n in range(count)]).encode()


def metrics(dialect: str, model: str, slot_count: int, counts: dict[str, int]) -> bytes:
    running, waiting = min(counts["active"], slot_count), max(0, counts["active"] - slot_count)
    if dialect == "vllm":
        lines = [
            f'vllm:num_requests_running{{model_name="{model}"}} {float(running)}',
            f'vllm:num_requests_waiting{{model_name="{model}"}} {float(waiting)}',
            f'vllm:kv_cache_usage_perc{{model_name="{model}"}} {running / slot_count}',
            f'vllm:prompt_tokens_total{{model_name="{model}"}} {float(counts["prompt_tokens"])}',
            f'vllm:generation_tokens_total{{model_name="{model}"}} {float(counts["tokens"])}',
        ]
    else:
        lines = [
            f"llamacpp:prompt_tokens_total {counts['prompt_tokens']}",
            f"llamacpp:tokens_predicted_total {counts['tokens']}",
            f"llamacpp:n_decode_total {counts['steps']}",
            f"llamacpp:requests_processing {running}",
            f"llamacpp:requests_deferred {waiting}",
        ]
    return ("# metrics of the fault engine\n" + "\n".join(lines) + "\n").encode()
