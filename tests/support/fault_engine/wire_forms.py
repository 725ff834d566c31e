"""The bodies the fault engine sends: OpenAI objects, errors and metrics as vLLM, llama.cpp and mlx write them."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Shape:
    """How one request wants its answer."""

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

    def _base(self, streamed: bool) -> dict[str, Any]:
        kind = ("chat.completion" if self.chat else "text_completion") + (".chunk" if streamed and self.chat else "")
        name = "chatcmpl-fault" if self.chat else "cmpl-fault"
        return {"id": name, "object": kind, "created": self.created, "model": self.model}

    def chunk(self, text: str, index: int) -> dict[str, Any]:
        if self.chat:
            delta = {"role": "assistant", "content": text} if index == 0 else {"content": text}
            choice: dict[str, Any] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        else:
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": None}
        return {**self._base(streamed=True), "choices": [choice]}

    def ending(self, prompt_tokens: int, tokens: int) -> list[dict[str, Any]]:
        content: dict[str, Any] = {"delta": {}} if self.chat else {"text": ""}
        last = {
            **self._base(streamed=True),
            "choices": [{"index": 0, **content, "logprobs": None, "finish_reason": "length"}],
        }
        if not self.include_usage:
            return [last]
        return [last, {**self._base(streamed=True), "choices": [], "usage": usage(prompt_tokens, tokens)}]

    def whole(self, text: str, prompt_tokens: int, tokens: int) -> bytes:
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        )
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": "length"}
        return json.dumps(
            {**self._base(streamed=False), "choices": [choice], "usage": usage(prompt_tokens, tokens)}
        ).encode()


def usage(prompt_tokens: int, tokens: int) -> dict[str, int]:
    return {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens}


def error(dialect: str, status: int, message: str) -> bytes:
    if dialect == "mlx":
        return json.dumps({"error": message}).encode()
    kind = {401: "authentication_error", 503: "unavailable_error"}.get(status, "invalid_request_error")
    body = {"message": message, "type": kind, "code": status}
    if dialect == "vllm":
        body["param"] = None
    return json.dumps({"error": body}).encode()


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
