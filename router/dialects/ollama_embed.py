"""POST /api/embed and its forerunner /api/embeddings, Ollama's dialect of embeddings.

Accepted and dropped: `options` and `keep_alive`, which say how a model is loaded, and `truncate`: a text that is too
long is refused, as half a text has another vector. Times are left out, as engines tell none here.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router.dialects.common import Closed, Count, Dropped, ModelField, decode
from router.dialects.embeddings import EmbeddingsBody, prepared
from router.dialects.error_shapes import ollama
from router.dialects.ollama import Options, bare
from router.dialects.reading import INPUTS, Text, WholeVoice, encode
from router.errors import ApiError
from router.request import Arrival, Parsed, Voice


class OllamaEmbed(Closed, kw_only=True):
    """The fields accepted, and nothing else."""

    model: ModelField
    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=INPUTS)]
    dimensions: Count | None = None
    options: Options | None = None
    truncate: Dropped = None
    keep_alive: Dropped = None


class OllamaEmbeddings(Closed, kw_only=True):
    """The fields accepted, and nothing else."""

    model: ModelField
    prompt: Text
    options: Options | None = None
    keep_alive: Dropped = None


class _Vector(msgspec.Struct):
    index: int
    embedding: msgspec.Raw


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | UnsetType = UNSET


class _Heard(msgspec.Struct):
    data: Annotated[list[_Vector], Meta(min_length=1)]
    usage: _Usage = _Usage()


class Embedded(msgspec.Struct, frozen=True):
    model: str
    embeddings: list[list[float]]
    prompt_eval_count: int | UnsetType = UNSET


class OneEmbedded(msgspec.Struct, frozen=True):
    embedding: list[float]


_embeds = msgspec.json.Decoder(OllamaEmbed)
_olds = msgspec.json.Decoder(OllamaEmbeddings)
_answers = msgspec.json.Decoder(_Heard)


class EmbedVoice(WholeVoice):
    """Numbers go on as the engine wrote them."""

    def __init__(self, model: str, one: bool) -> None:
        self._model, self._one = model, one

    def whole(self, body: bytes) -> bytes:
        heard = _answers.decode(body)
        vectors = [vector.embedding for vector in sorted(heard.data, key=lambda vector: vector.index)]
        if self._one:
            return encode({"embedding": vectors[0]})
        told: dict[str, object] = {"model": self._model, "embeddings": vectors}
        if heard.usage.prompt_tokens is not UNSET:
            told["prompt_eval_count"] = heard.usage.prompt_tokens
        return encode(told)

    def broken(self, error: ApiError) -> bytes:
        return ollama(error, "")


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_embeds, raw)
    given: str | list[str | int | list[int]] = body.input if isinstance(body.input, str) else [*body.input]
    asked = EmbeddingsBody(bare(body.model), given, dimensions=body.dimensions)
    return _asked(asked, body.model, one=False)


def parse_old(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_olds, raw)
    return _asked(EmbeddingsBody(bare(body.model), body.prompt), body.model, one=True)


def _asked(body: EmbeddingsBody, said: str, one: bool) -> Parsed:
    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        return EmbedVoice(said, one)

    return prepared(body, voice)
