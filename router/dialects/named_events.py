"""Server-sent events with a name, which is their type: as Anthropic's streams and OpenAI's responses have them."""

from collections.abc import Callable
from functools import cache

import msgspec

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


def named_event(event: msgspec.Struct) -> bytes:
    """Of a struct that is tagged with its name."""
    return b"event: %b\ndata: %b\n\n" % (_name_of(type(event)), _encode(event))


@cache
def _name_of(kind: type[msgspec.Struct]) -> bytes:
    return str(kind.__struct_config__.tag).encode()
