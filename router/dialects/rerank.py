"""POST /v1/rerank, as Jina and Cohere have it, also at /rerank and /v2/rerank: documents in the order of a query.

Engines are asked for a score of every document; order, `top_n` and the documents themselves are the gateway's, the same
on every engine. What a score means is the model's: some engines give what it computes, others bring that to 0..1.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router.dialects.common import Closed, Count, ModelField, decode
from router.dialects.reading import INPUTS, NO_ANSWER, Counted, ReadPrompt, Text, WholeVoice, encode
from router.request import Arrival, Parsed, Voice


class Document(Closed):
    text: Text


class RerankBody(Closed):
    """The fields accepted, and nothing else. Documents come back only where `return_documents` is true."""

    model: ModelField
    query: Text
    documents: Annotated[list[Text | Document], Meta(min_length=1, max_length=INPUTS)]
    top_n: Count | None = None
    return_documents: bool | None = None


class Asked(Closed):
    """As engines are asked."""

    model: str
    query: str
    documents: list[str]


class _Scored(msgspec.Struct):
    index: int
    relevance_score: float


class _Heard(msgspec.Struct):
    results: list[_Scored]
    usage: Counted = Counted()


class Told(msgspec.Struct, frozen=True):
    text: str


class Ranked(msgspec.Struct, frozen=True):
    index: int
    relevance_score: float
    document: Told | UnsetType = UNSET


class RerankAnswer(msgspec.Struct, frozen=True):
    """`id` is ours, as in `x-request-id`."""

    id: str
    model: str
    results: list[Ranked]  # the best first
    usage: Counted
    object: Literal["list"] = "list"


_decoder = msgspec.json.Decoder(RerankBody)
_answers = msgspec.json.Decoder(_Heard)


class RerankVoice(WholeVoice):
    def __init__(self, asked: RerankBody, documents: Sequence[str], request_id: str) -> None:
        self._asked, self._documents, self._request_id = asked, documents, request_id

    def whole(self, body: bytes) -> bytes:
        heard, count = _answers.decode(body), len(self._documents)
        if sorted(scored.index for scored in heard.results) != list(range(count)):
            raise msgspec.ValidationError("not a score for each document")
        best = sorted(heard.results, key=lambda scored: (-scored.relevance_score, scored.index))[: self._asked.top_n]
        ranked = [Ranked(scored.index, scored.relevance_score, self._told(scored.index)) for scored in best]
        return encode(RerankAnswer(self._request_id, self._asked.model, ranked, heard.usage))

    def _told(self, index: int) -> Told | UnsetType:
        return Told(self._documents[index]) if self._asked.return_documents else UNSET


def parse(raw: bytes) -> Parsed:
    """Raises ApiError 400 that names the field."""
    body = decode(_decoder, raw)
    documents = [one if isinstance(one, str) else one.text for one in body.documents]
    query = len(body.query)

    def voice(arrival: Arrival, prompt_tokens: int) -> Voice:
        return RerankVoice(body, documents, arrival.request_id)

    return Parsed(
        body.model,
        stream=False,
        usage_wanted=True,
        prompt_characters=query + max(map(len, documents)),
        output_tokens_limit=NO_ANSWER,
        prompt=ReadPrompt(Asked(body.model, body.query, documents)),
        prompts=len(documents),
        engine_api="rerank",
        needs=frozenset({"rerank"}),
        voice=voice,
        all_characters=sum(query + len(document) for document in documents),  # the query is read with each
        prompt_field="documents",
    )
