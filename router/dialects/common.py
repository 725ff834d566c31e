"""What the OpenAI dialects share: bounded types, one decoder whose errors name the field, and size checks."""

import re
from typing import Annotated, Protocol, TypeVar

import msgspec
from msgspec import Meta

from router.errors import ApiError, invalid

# Any JSON value below one of these is checked by size and depth, and goes to the engine as we re-serialised it.
JsonObject = dict[str, object]

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Choices = Annotated[int, Meta(ge=1, le=4)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Repetition = Annotated[float, Meta(gt=0, le=4)]
TopK = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Label = Annotated[str, Meta(max_length=512)]
Stops = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=4)]
StopText = Annotated[str, Meta(min_length=1, max_length=64)]
LogitBias = Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=300)]
Metadata = Annotated[dict[str, Label], Meta(max_length=16)]
ModelField = Annotated[str, Meta(min_length=1, max_length=512)]

SCHEMA_BYTES = 16 * 1024
SCHEMA_DEPTH = 16

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `([^`]+)`")

Body = TypeVar("Body")


class Closed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown fields are refused, and what was not said is not said to the engine either."""


Dropped = object | None
"""Accepted from clients whatever it is, and told to nobody."""


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    include_usage: bool = False
    include_obfuscation: bool | None = None  # accepted from OpenAI's clients; our engines have no such thing


ALWAYS_USAGE = StreamOptions(include_usage=True)

_encoder = msgspec.json.Encoder()


class EngineBody(Protocol):
    """What every validated body has, and what is set anew for each engine it is written for."""

    model: str
    stream: bool | None
    stream_options: StreamOptions | None

    def said(self) -> str: ...

    def read(self) -> bytes: ...


class BodyPrompt(msgspec.Struct, frozen=True):
    """Implements router.request.Prompt. Tokens are always counted, whether the client asked or not."""

    body: EngineBody

    def encode(self, served_name: str, stream: bool) -> bytes:
        body = self.body
        body.model, body.stream, body.stream_options = served_name, stream, ALWAYS_USAGE if stream else None
        return _encoder.encode(body)

    def said(self) -> str:
        return self.body.said()

    def read(self) -> bytes:
        return self.body.read()


def as_read(*parts: object) -> bytes:
    """JSON without the bracket at its end: a conversation that goes on begins with what it was."""
    return b"".join([_encoder.encode(part) for part in parts if part is not None])[:-1]


def usage_asked(options: StreamOptions | None, stream: bool) -> bool:
    """Whether the client wants the usage chunk. Raises ApiError 400 for options without a stream."""
    if options is None:
        return False
    if not stream:
        raise invalid("`stream_options` is only allowed when `stream` is true", "stream_options")
    return options.include_usage


def decode(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """Raises ApiError 400 that names the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"the body is not valid JSON: {error}", code="invalid_json") from None
    except RecursionError:
        raise invalid("the body is nested too deeply", code="invalid_json") from None


def _bad_field(text: str) -> ApiError:
    found = _PATH.search(text)
    path = found.group(1) if found else ""
    message = _PATH.sub("", text)
    field = _FIELD.search(message)
    if field:
        path = f"{path}.{field.group(1)}" if path else field.group(1)
    code = "unknown_field" if "unknown field" in message else "invalid_value"
    return invalid(f"{message[0].lower()}{message[1:]} (in `{path}`)" if path else message, path or None, code)


def check_size(value: object, limit_bytes: int, param: str) -> None:
    size = len(msgspec.json.encode(value))
    if size > limit_bytes:
        raise invalid(f"`{param}` takes {size} bytes; the limit is {limit_bytes}", param, "too_large")


def check_schema(schema: object, param: str) -> None:
    """A JSON Schema compiles to a grammar inside the engine: small, shallow, and without regular expressions."""
    check_size(schema, SCHEMA_BYTES, param)
    pending = [(schema, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > SCHEMA_DEPTH:
            raise invalid(f"`{param}` is nested deeper than {SCHEMA_DEPTH}", param, "too_large")
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str) or "patternProperties" in value:
                raise invalid(f"`{param}` uses a regular expression, which is not accepted", param, "invalid_value")
            pending.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            pending.extend((inner, depth + 1) for inner in value)
