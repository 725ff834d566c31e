"""What an engine's error means to a client: three engines' shapes in, one of ours out. Nothing is passed on raw."""

import re

import msgspec

from router.errors import ApiError, invalid, saturated

_CONTEXT = re.compile(r"context (?:length|size|window)|exceed_context|maximum context|too many tokens", re.IGNORECASE)
_INPUT = re.compile(r"input .{0,40}is too large to process")  # llama.cpp of a text to embed: with status 500
_DIMENSIONS = re.compile(r"matryoshka|only supports dimensions", re.IGNORECASE)  # vLLM: this model has no such vectors
MESSAGE_LIMIT = 400


class _Fields(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None


class _Answer(msgspec.Struct):
    error: str | _Fields | None = None
    message: str | None = None  # older vLLM
    detail: str | None = None


_decoder = msgspec.json.Decoder(_Answer)


def translate(status: int, body: bytes, engine_id: str, prompt_field: str = "messages") -> ApiError:
    """The error a client gets for an engine's answer that is not 200."""
    message, kind = _message(body)
    if (status < 500 and _CONTEXT.search(f"{message} {kind}")) or _INPUT.search(message):
        return invalid(_tidy(message), prompt_field, "context_length_exceeded")
    if status < 500 and _DIMENSIONS.search(message):
        return invalid(_tidy(message), "dimensions", "unsupported_parameter")
    if status in (400, 413, 422):
        return invalid(f"the engine refused the request: {_tidy(message)}", code="refused_by_engine")
    if status == 429:
        return saturated("every engine of this model is full; try again")
    if status == 503:
        error = ApiError(503, "engine_unavailable", f"engine {engine_id} does not take requests; try again")
        return error.retry_after(2)
    return ApiError(502, "engine_error", f"engine {engine_id} answered {status}; try again, or see its log")


def translate_event(event: bytes, engine_id: str) -> ApiError:
    """The error of a stream that the engine itself ended with an error event."""
    message, _ = _message(event.removeprefix(b"data:").strip())
    return ApiError(502, "engine_error", f"engine {engine_id} gave up in mid-answer: {_tidy(message)}")


def worth_another(status: int) -> bool:
    """Another replica may do better: this one is full, broken or does not let us in."""
    return status >= 500 or status in (401, 403, 404, 408, 429)


def _message(body: bytes) -> tuple[str, str]:
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", ""
    if isinstance(answer.error, _Fields):
        return answer.error.message, answer.error.type or ""
    return answer.error or answer.message or answer.detail or "", ""


def _tidy(message: str) -> str:
    """One printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message[: 2 * MESSAGE_LIMIT]).split())
    return line[:MESSAGE_LIMIT] or "no reason given"
