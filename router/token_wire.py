"""Bodies and answers of the routes that count and show tokens. The names of fields are vLLM's and Anthropic's."""

from typing import Annotated

import msgspec
from msgspec import Meta

from router.dialects.chat_messages import Message
from router.dialects.common import Closed, ModelField

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class TokenizeBody(Closed):
    """A text, or the messages of a chat."""

    model: ModelField
    prompt: str | None = None
    messages: Annotated[list[Message], Meta(min_length=1, max_length=4096)] | None = None


class DetokenizeBody(Closed):
    model: ModelField
    tokens: Annotated[list[TokenId], Meta(max_length=1_000_000)]


class CountAnswer(msgspec.Struct, frozen=True):
    input_tokens: int


class TokenizeAnswer(msgspec.Struct, frozen=True):
    count: int
    max_model_len: int
    tokens: list[int]


class DetokenizeAnswer(msgspec.Struct, frozen=True):
    prompt: str
