"""What was found, read once more beside its question by a model that ranks, from the gateway's own endpoint."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Protocol

import httpx2
import msgspec

from rag.embedding import said_by
from rag.retrieval import Judged

CANDIDATES = 30  # chunks that are read, at least
PATIENCE_S = 10.0  # somebody waits for his answer


class RerankingError(Exception):
    """No order: why. What was found is told in the order that it was found in."""


class Reranker(Protocol):
    @property
    def model(self) -> str: ...

    async def scores(self, question: str, texts: Sequence[str]) -> tuple[float, ...]:
        """Of each text, larger is better. Raises RerankingError."""
        ...


class _Scored(msgspec.Struct, frozen=True):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Scored]


_answers = msgspec.json.Decoder(_Answer)


class GatewayReranker:
    """`client` has the endpoint (`…/v1/`), and asks as whoever asked the question."""

    def __init__(self, client: httpx2.AsyncClient, model: str, patience_s: float = PATIENCE_S) -> None:
        self._client, self._model, self._patience_s = client, model, patience_s

    @property
    def model(self) -> str:
        return self._model

    async def scores(self, question: str, texts: Sequence[str]) -> tuple[float, ...]:
        body = {"model": self._model, "query": question, "documents": list(texts)}
        try:
            async with asyncio.timeout(self._patience_s):
                answer = await self._client.post("rerank", json=body)
        except TimeoutError:
            raise RerankingError(f"it took more than {self._patience_s:g} s") from None
        except httpx2.TransportError as error:
            raise RerankingError(f"the gateway does not answer ({error})") from error
        if answer.status_code != 200:
            raise RerankingError(said_by(answer))
        try:
            found = {one.index: one.relevance_score for one in _answers.decode(answer.content).results}
        except msgspec.MsgspecError as error:
            raise RerankingError(f"what came is no order: {error}") from error
        if found.keys() != set(range(len(texts))):
            raise RerankingError(f"{len(found)} scores came for {len(texts)} texts")
        return tuple(found[at] for at in range(len(texts)))


async def reranked(reranker: Reranker, question: str, judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """The best first, with scores of 0 to 1; equal ones as they were. Whether a chunk is relevant at all stays as it
    was judged: what a score means is the model's. Raises RerankingError."""
    scores = _shares(await reranker.scores(question, [hit.chunk.content.text for hit, _ in judged])) if judged else ()
    told = [
        (replace(hit, score=score), replace(one, reason=f"{one.reason}; {reranker.model} gives it {score:.2f}"))
        for (hit, one), score in zip(judged, scores, strict=True)
    ]
    return tuple(sorted(told, key=lambda one: -one[0].score))


def _shares(scores: Sequence[float]) -> tuple[float, ...]:
    """As they are where all lie in 0..1, else by the logistic function: some engines give what a model computes."""
    if all(0.0 <= score <= 1.0 for score in scores):
        return tuple(scores)
    return tuple(1.0 / (1.0 + exp(-min(max(score, -60.0), 60.0))) for score in scores)
