"""What the dialects share whose engines only read: embeddings and rerank. One body in, one whole answer out."""

from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from router.errors import ApiError
from router.request import SizeOnly

INPUTS = 2048  # in one body, as OpenAI allows
NO_ANSWER = 0  # tokens: nothing is written

Text = Annotated[str, Meta(min_length=1)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]

encode = msgspec.json.Encoder().encode


class NamedBody(Protocol):
    model: str


class ReadPrompt(SizeOnly):
    """Implements router.request.Prompt. Rules find no words in it and caches no beginning: nobody talks here."""

    def __init__(self, body: NamedBody) -> None:
        self.body = body

    def encode(self, served_name: str, stream: bool) -> bytes:
        self.body.model = served_name
        return encode(self.body)


class WholeVoice:
    """Implements router.request.Voice, but for `whole`."""

    content_type = b"application/json"
    comments = False

    def events(self, events: bytes) -> bytes:
        raise msgspec.ValidationError("a stream, where nobody asked for one")

    def broken(self, error: ApiError) -> bytes:
        return error.body()


class Counted(msgspec.Struct, frozen=True):
    """Tokens that were read."""

    prompt_tokens: int = 0
    total_tokens: int = 0
