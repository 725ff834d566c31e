"""POST /v1/embeddings: texts or token ids in, a vector for each out, as floats or as base64 of them.

An engine is asked for the encoding that its client wants, and its answer goes on as it is: packing 2,048 vectors of 512
here takes 130 ms of the gateway's only thread, and passing them on packed 3 ms. What came in the other encoding is
turned. `user` is accepted and dropped.
"""

import re
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.common import Closed, Count, Label, ModelField, decode
from router.dialects.reading import INPUTS, NO_ANSWER, Counted, ReadPrompt, Text, TokenId, WholeVoice, encode
from router.errors import invalid
from router.request import Arrival, Feature, Parsed, Voice
from router.scoring import CHARACTERS_PER_TOKEN

Tokens = Annotated[list[TokenId], Meta(min_length=1)]
Inputs = Annotated[list[Text | TokenId | Tokens], Meta(min_length=1)]

# Texts are not in an answer, and a value of this name is followed by no colon.
_FIRST_VECTOR = re.compile(rb'"embedding"\s*:\s*(["\[])')


class EmbeddingsBody(Closed):
    """The fields accepted, and nothing else. A list is all texts, all token ids, or all lists of token ids."""

    model: ModelField
    input: Text | Inputs
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: Label | None = None


class Vector(msgspec.Struct):
    index: int
    embedding: list[float] | str  # base64 of little-endian floats of 4 bytes
    object: Literal["embedding"] = "embedding"


class EmbeddingsAnswer(msgspec.Struct):
    data: list[Vector]
    model: str
    usage: Counted = Counted()
    object: Literal["list"] = "list"


class EmbeddingsVoice(WholeVoice):
    def __init__(self, packed: bool) -> None:
        self._packed = packed

    def whole(self, body: bytes) -> bytes:
        found = _FIRST_VECTOR.search(body)
        if found is None:
            raise msgspec.ValidationError("an answer without a vector")
        return body if (found.group(1) == b'"') is self._packed else self._turned(body)

    def _turned(self, body: bytes) -> bytes:
        answer = _answers.decode(body)
        for vector in answer.data:
            vector.embedding = floats_in(float_bytes(vector.embedding), self._packed)
        return encode(answer)


_decoder = msgspec.json.Decoder(EmbeddingsBody)
_answers = msgspec.json.Decoder(EmbeddingsAnswer)
_PLAIN, _PACKED = EmbeddingsVoice(packed=False), EmbeddingsVoice(packed=True)


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    body.user = None
    voice = _PACKED if body.encoding_format == "base64" else _PLAIN
    return prepared(body, lambda arrival, prompt_tokens: voice)


def prepared(body: EmbeddingsBody, voice: Callable[[Arrival, int], Voice]) -> Parsed:
    """A body of any dialect, as the one internal request. Raises ApiError 400 that names the field."""
    texts, tokens = _sizes(body.input)
    needs: set[Feature] = {"embeddings"}
    if body.dimensions is not None:
        needs.add("dimensions")
    if tokens:
        needs.add("token_ids")
    return Parsed(
        body.model,
        stream=False,
        usage_wanted=True,
        prompt_characters=max(texts, default=0),
        output_tokens_limit=NO_ANSWER,
        prompt=ReadPrompt(body),
        prompts=len(texts) or len(tokens),
        engine_api="embeddings",
        needs=frozenset(needs),
        voice=voice,
        all_characters=sum(texts) + CHARACTERS_PER_TOKEN * sum(tokens),
        known_tokens=sum(tokens) or None,
        prompt_field="input",
    )


def float_bytes(vector: list[float] | str) -> bytes:
    """Little-endian floats of 4 bytes. Raises msgspec.ValidationError for what is no base64 of them."""
    if not isinstance(vector, str):
        return _little_endian(array("f", vector)).tobytes()
    try:
        floats = b64decode(vector, validate=True)
    except ValueError as error:
        raise msgspec.ValidationError(f"no base64 of floats: {error}") from None
    if len(floats) % 4:
        raise msgspec.ValidationError("no base64 of floats of 4 bytes")
    return floats


def floats_in(floats: bytes, packed: bool) -> list[float] | str:
    """A vector as an answer has it."""
    return b64encode(floats).decode() if packed else _little_endian(array("f", floats)).tolist()


def _little_endian(floats: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        floats.byteswap()
    return floats


def _sizes(given: str | list[str | int | list[int]]) -> tuple[list[int], list[int]]:
    """Characters of each text, or tokens of each list of them. Raises ApiError 400."""
    if isinstance(given, str):
        return [len(given)], []
    if len({type(item) for item in given}) != 1:
        raise invalid("`input` is a text, a list of texts, token ids, or a list of lists of token ids", "input")
    if isinstance(given[0], int):
        return [], [len(given)]
    if len(given) > INPUTS:
        raise invalid(f"`input` holds {len(given)} inputs; the limit is {INPUTS}", "input", "too_large")
    texts = [len(item) for item in given if isinstance(item, str)]
    return texts, [len(item) for item in given if isinstance(item, list)]
