"""Errors as clients see them: OpenAI's full shape, with what failed and what to do next."""

import difflib
from collections.abc import Iterable

import msgspec

STREAM_DONE = b"data: [DONE]\n\n"
ASIDE_RETRY_S = 10  # nobody can know who will be awake


class ErrorFields(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    error: ErrorFields


_encoder = msgspec.json.Encoder()


class ApiError(Exception):
    """A request that ends without an answer. Caught by the host of the request, which writes it to the client."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.retry_after_s: int | None = None
        self._more: list[tuple[str, str]] = []

    def retry_after(self, seconds: int) -> "ApiError":
        """The same error, telling clients when to come back."""
        self.retry_after_s = seconds
        return self

    def add_header(self, name: str, value: str) -> None:
        self._more.append((name, value))

    @property
    def type(self) -> str:
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> bytes:
        return _encoder.encode(ErrorEnvelope(ErrorFields(self.message, self.type, self.param, self.code)))

    def headers(self) -> list[tuple[str, str]]:
        found = [("content-type", "application/json")]
        if self.status == 401:
            found.append(("www-authenticate", 'Bearer realm="potluck"'))
        if self.retry_after_s is not None:
            found.append(("retry-after", str(self.retry_after_s)))
        return found + self._more

    def header_lines(self) -> bytes:
        return b"".join(f"{name}: {value}\r\n".encode() for name, value in self.headers())

    def event(self) -> bytes:
        """The proper end of a stream that cannot go on: the error, then the marker that clients wait for."""
        return b"data: %b\n\n%b" % (self.body(), STREAM_DONE)


def missing_key() -> ApiError:
    return ApiError(401, "missing_api_key", "no API key; send `Authorization: Bearer KEY` or `x-api-key: KEY`")


def wrong_key() -> ApiError:
    return ApiError(401, "invalid_api_key", "this API key is not valid; `potluck keys show-owner` prints the owner's")


def expired_key() -> ApiError:
    """Said only to somebody who has the key, or a token that is the issuer's."""
    return ApiError(401, "expired_api_key", "this key has expired; ask whoever runs this cluster for another")


def unknown_model(name: str, known: Iterable[str]) -> ApiError:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean `{near[0]}`?" if near else f"this cluster serves: {', '.join(names) or 'no model yet'}"
    return ApiError(404, "model_not_found", f"no model `{name[:200]}` here; {hint}", "model")


def invalid(message: str, param: str | None = None, code: str = "invalid_request") -> ApiError:
    return ApiError(400, code, message, param)


def too_large(limit_bytes: int) -> ApiError:
    return ApiError(413, "request_too_large", f"the body is larger than {limit_bytes // 1_000_000} MB")


def not_ready(message: str, retry_s: int = 2) -> ApiError:
    return ApiError(503, "model_not_ready", message).retry_after(retry_s)


def nobody_awake(model: str, state: str, what: str) -> ApiError:
    said = f"`{model}` is {state}, and nobody wakes a model for a front end's own call ({what}); none that is awake can"
    return ApiError(503, "no_warm_model", f"{said} answer it now; try again").retry_after(ASIDE_RETRY_S)


def stopping() -> ApiError:
    return ApiError(503, "gateway_stopping", "this gateway is stopping; try again").retry_after(2)


def saturated(message: str, retry_s: int = 1) -> ApiError:
    return ApiError(429, "saturated", message, None).retry_after(retry_s)


def internal(request_id: str) -> ApiError:
    return ApiError(500, "internal_error", f"the gateway failed on request {request_id}; its log says why")
