"""Vectors of texts that were embedded before: an engine is asked for the others only."""

import struct
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from inventory.catalog import ModelRef
from router.borders import scope_of
from router.cache_store import Entry
from router.call_report import CallReport
from router.dialects.embeddings import EmbeddingsAnswer, EmbeddingsBody, Vector, float_bytes, floats_in, prepared
from router.dialects.reading import Counted, ReadPrompt
from router.errors import ApiError
from router.given_again import digest_of, weights_of
from router.request import Arrival, InferenceRequest, Parsed, Voice

_TOKENS = struct.Struct("<I")  # before the vector: what its text took

_encode = msgspec.json.Encoder().encode
_answers = msgspec.json.Decoder(EmbeddingsAnswer)


class Shelf(Protocol):
    """Where vectors of a tenant lie, by key."""

    def vectors(self, tenant: str, keys: Sequence[bytes]) -> Mapping[bytes, bytes]: ...

    def keep(self, entries: Sequence[Entry]) -> None: ...


def texts_of(parsed: Parsed) -> list[str] | None:
    """None for token ids, and for whatever is no request for vectors."""
    body = parsed.prompt.body if isinstance(parsed.prompt, ReadPrompt) else None
    if not isinstance(body, EmbeddingsBody):
        return None
    if isinstance(body.input, str):
        return [body.input]
    texts = [one for one in body.input if isinstance(one, str)]
    return texts if len(texts) == len(body.input) else None


class KeepingVectors:
    """One request for vectors of texts, some of which may have been given before. If not all were, it listens to the
    call for the others."""

    def __init__(self, shelf: Shelf, request: InferenceRequest, ref: ModelRef, texts: Sequence[str]) -> None:
        assert isinstance(request.parsed.prompt, ReadPrompt)
        assert isinstance(request.parsed.prompt.body, EmbeddingsBody)
        self._shelf, self._ref, self._texts = shelf, ref, texts
        self._tenant = request.arrival.identity.tenant
        self._body = body = request.parsed.prompt.body
        self._classes = request.classes
        weights = weights_of(scope_of(self._tenant, self._classes), ref)
        facts = (
            *weights,
            "" if body.dimensions is None else str(body.dimensions),
        )
        self._keys = [digest_of((*facts, text)) for text in texts]
        self._known = dict(shelf.vectors(self._tenant, self._keys))
        self._new: dict[bytes, bytes] = {}

    def before(self) -> bytes | None:
        """All vectors as an engine would have answered, if all were given before."""
        return self.whole() if all(key in self._known for key in self._keys) else None

    def listen(self, request: InferenceRequest) -> InferenceRequest:
        """The same request, for what was not given before."""
        make = request.parsed.voice
        assert make is not None
        missing = list({key: at for at, key in enumerate(self._keys) if key not in self._known}.values())
        body = EmbeddingsBody(
            self._body.model, [self._texts[at] for at in missing], self._body.encoding_format, self._body.dimensions
        )

        def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
            return _Ear(make(arrival, prompt_tokens), self, missing)

        parsed = prepared(body, voice)
        tokens = request.prompt_tokens * parsed.characters // max(request.parsed.characters, 1)
        return replace(request, parsed=parsed, prompt_tokens=tokens)

    def heard(self, body: bytes, places: Sequence[int]) -> bytes:
        """An engine's answer to all of it, from one to the texts at these places: the same bytes, where these are all.
        Raises msgspec.DecodeError where it is none of them."""
        answer = _answers.decode(body)
        vectors = sorted(answer.data, key=lambda vector: vector.index)
        if len(vectors) != len(places):
            raise msgspec.ValidationError(f"{len(vectors)} vectors of {len(places)} texts")
        counts = shares(answer.usage.prompt_tokens, [len(self._texts[at]) for at in places])
        for at, vector, tokens in zip(places, vectors, counts, strict=True):
            self._new[self._keys[at]] = _TOKENS.pack(tokens) + float_bytes(vector.embedding)
        in_order = [vector.index for vector in answer.data] == list(range(len(self._texts)))
        return body if in_order and answer.model == self._ref.name else self.whole()

    def whole(self) -> bytes:
        """An engine's answer to all of it."""
        found = self._known | self._new
        packed = self._body.encoding_format == "base64"
        data = [Vector(at, floats_in(found[key][_TOKENS.size :], packed)) for at, key in enumerate(self._keys)]
        tokens = sum(_TOKENS.unpack_from(found[key])[0] for key in self._keys)
        return _encode(EmbeddingsAnswer(data, self._ref.name, Counted(tokens, tokens)))

    def ended(self, report: CallReport) -> None:
        """The call is over."""
        if report.answered_by(self._ref):
            name = self._ref.name
            whose, classes = self._tenant, self._classes
            self._shelf.keep([Entry(key, "vectors", whose, name, one, classes) for key, one in self._new.items()])


def shares(total: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers with this sum, as large to each other as the sizes are."""
    whole, given, passed = max(sum(sizes), 1), 0, 0
    found = []
    for size in sizes:
        passed += size
        upto = total * passed // whole
        found.append(upto - given)
        given = upto
    return found


class _Ear:
    """Implements router.request.Voice: says all vectors where an engine has said some."""

    comments = False

    def __init__(self, voice: Voice, keeping: KeepingVectors, places: Sequence[int]) -> None:
        self._voice, self._keeping, self._places = voice, keeping, places
        self.content_type = voice.content_type

    def whole(self, body: bytes) -> bytes:
        return self._voice.whole(self._keeping.heard(body, self._places))

    def events(self, events: bytes) -> bytes:
        return self._voice.events(events)

    def broken(self, error: ApiError) -> bytes:
        return self._voice.broken(error)
