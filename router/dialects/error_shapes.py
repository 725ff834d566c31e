"""How each dialect says that a request failed. Statuses are the same in all; the body is what its clients can read."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from router.errors import ApiError

ErrorShape = Callable[[ApiError, str], bytes]
"""The body, for an error of the request with this id."""


class _Told(msgspec.Struct, frozen=True):
    type: str
    message: str


class AnthropicError(msgspec.Struct, frozen=True):
    error: _Told
    request_id: str | None = None
    type: Literal["error"] = "error"


class OllamaError(msgspec.Struct, frozen=True):
    error: str


_ANTHROPIC_TYPES: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    }
)


def openai(error: ApiError, request_id: str) -> bytes:
    return error.body()


def anthropic(error: ApiError, request_id: str) -> bytes:
    """Its shape has no place for our code and the field's name: the message begins with the field."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    message = error.message if error.param is None else f"{error.param}: {error.message}"
    if error.code == "context_length_exceeded":  # by these words Claude Code knows that it has to compact
        message = f"prompt is too long: {error.message}"
    return msgspec.json.encode(AnthropicError(_Told(kind, message), request_id or None))


def ollama(error: ApiError, request_id: str) -> bytes:
    """The field is in the message, as there is no other place for it."""
    named = error.param is None or error.param in error.message
    return msgspec.json.encode(OllamaError(error.message if named else f"{error.param}: {error.message}"))


_BY_PATH: tuple[tuple[str, str], ...] = (("/v1/messages", "Anthropic"), ("/api/v1/", ""), ("/api/", "Ollama"))
_BY_PREFIX: Mapping[str, ErrorShape] = MappingProxyType({"": openai, "Anthropic": anthropic, "Ollama": ollama})


def shape_at(path: str) -> ErrorShape:
    """Of a dialect's path, or of one below it."""
    return _BY_PREFIX[prefix_of(path)]


def prefix_of(path: str) -> str:
    """Names the shape in documents: "" for OpenAI's."""
    return next((prefix for begins, prefix in _BY_PATH if path.startswith(begins)), "")
