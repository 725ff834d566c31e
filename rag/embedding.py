"""Texts as vectors, from the gateway's own endpoint, like any client: on its lane for vectors, with its cache."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Protocol

import httpx2
import msgspec
import numpy as np

from rag.values import Vectors

AT_ONCE = 32  # texts of a request
REQUESTS = 4  # on their way together, so that the engine always has the next
TRIES = 5
NO_PLACE = "no_eligible_node"  # as the gateway calls it
PAUSE_S = 1.0  # before another try, where the gateway does not say


class EmbeddingError(Exception):
    """No vectors: what the gateway said, and what to do. Handled by ingest and by the routes."""


class LimitedError(EmbeddingError):
    """Whoever asks is over a limit, or everything is busy, and he waits himself. `retry_s`: as the gateway says."""

    def __init__(self, said: str, retry_s: float) -> None:
        super().__init__(said)
        self.retry_s = retry_s


class NoPlaceError(EmbeddingError):
    """No machine where its privacy classes may be makes vectors: it helps only that cluster.yaml says otherwise."""


class Embedder(Protocol):
    @property
    def model(self) -> str:
        """By which vectors are told apart: those of two models do not compare."""
        ...

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """Of length 1 each. Raises EmbeddingError."""
        ...


class _Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: str


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Vector]


_answers = msgspec.json.Decoder(_Answer)


class GatewayEmbedder:
    """`client` has the endpoint (`…/v1/`) and a key, whose tenant the vectors and their cache belong to. `patient`: it
    is tried again where the gateway says that there is too much to do."""

    def __init__(self, client: httpx2.AsyncClient, model: str, patient: bool = True) -> None:
        self._client, self._model, self._patient = client, model, patient
        self._turn = asyncio.Semaphore(REQUESTS)

    @property
    def model(self) -> str:
        return self._model

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        parts = [texts[at : at + AT_ONCE] for at in range(0, len(texts), AT_ONCE)]
        made = await asyncio.gather(*(self._ask(part) for part in parts))
        return np.concatenate(made) if made else np.empty((0, 0), dtype=np.float32)

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        body = {"model": self._model, "input": list(texts), "encoding_format": "base64"}
        async with self._turn:
            for turn in range(TRIES):
                try:
                    answer = await self._client.post("embeddings", json=body)
                except httpx2.TransportError as error:
                    raise EmbeddingError(f"the gateway does not answer ({error}); is it running? potluck up") from error
                if answer.status_code == 200:
                    return _read(answer.content, len(texts))
                if answer.status_code == 429 and not self._patient:
                    raise LimitedError(said_by(answer), _pause_s(answer))
                if answer.status_code not in (429, 503) or turn == TRIES - 1:
                    break
                await asyncio.sleep(_pause_s(answer))
        kind = NoPlaceError if _code_of(answer) == NO_PLACE else EmbeddingError
        raise kind(f"{self._model} made no vectors: {said_by(answer)}")


def _read(content: bytes, count: int) -> Vectors:
    try:
        found = sorted(_answers.decode(content).data, key=lambda one: one.index)
        rows = [np.frombuffer(base64.b64decode(one.embedding), dtype="<f4") for one in found]
        made = np.stack(rows).astype(np.float32)
    except (msgspec.MsgspecError, ValueError) as error:
        raise EmbeddingError(f"what came for {count} texts are no vectors: {error}") from error
    if len(made) != count:
        raise EmbeddingError(f"{len(made)} vectors came for {count} texts")
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise EmbeddingError("a vector came that points nowhere")
    return np.asarray(made / lengths, dtype=np.float32)


def _pause_s(answer: httpx2.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told), 30.0) if told.isdigit() else PAUSE_S


def _code_of(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def said_by(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
