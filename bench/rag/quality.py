"""nDCG@10 on XQuAD: 240 paragraphs, 1,190 questions, in English and Spanish, each question with one right paragraph."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.one_machine import BenchError
from cluster.knowledge import Locator
from rag.embedding import Embedder
from rag.stores.contract import Question, VectorStore
from rag.values import NewChunk, NewDocument, Space, SpaceId, Vectors

LANGUAGES = ("en", "es")
ARMS: Mapping[str, float] = {"fused": 0.7, "vectors": 1.0, "words": 0.0}  # alpha
FOUND = 10


@dataclass(frozen=True, slots=True)
class Half:
    """Of one language: paragraphs, and questions by id with the number of their paragraph."""

    paragraphs: tuple[str, ...]
    questions: Mapping[str, tuple[str, int]]


def read_xquad(directory: Path) -> Mapping[str, Half]:
    """Raises BenchError where the data are not there: they are not part of potluck."""
    return {language: _read(directory / f"xquad.{language}.json") for language in LANGUAGES}


def _read(path: Path) -> Half:
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error}): name the directory of XQuAD with --xquad") from error
    paragraphs: list[str] = []
    questions: dict[str, tuple[str, int]] = {}
    for paragraph in (paragraph for article in articles for paragraph in article["paragraphs"]):
        for one in paragraph["qas"]:
            questions[one["id"]] = (one["question"], len(paragraphs))
        paragraphs.append(paragraph["context"])
    return Half(tuple(paragraphs), questions)


async def fill(store: VectorStore, embedder: Embedder, language: str, half: Half) -> SpaceId:
    """A space with each paragraph as a document of one chunk, named by its number."""
    space_id = SpaceId("bench", language)
    vectors = await embedder.vectors(half.paragraphs)
    await store.make_space(Space(space_id, embedder.model, vectors.shape[1], "private", 0.0))
    for number, (text, vector) in enumerate(zip(half.paragraphs, vectors, strict=True)):
        hashed = hashlib.sha256(text.encode()).hexdigest()
        document = NewDocument(str(number), hashed, "", "text/plain", language, "private", {}, len(text))
        await store.put(space_id, document, [NewChunk(text, 0, len(text), Locator())], vector[np.newaxis])
    return space_id


async def gains(store: VectorStore, space_id: SpaceId, asked: Half, vectors: Vectors, alpha: float) -> Sequence[float]:
    """Of each question in `asked`: 1 where its paragraph is found first, less further down, 0 where it is not."""
    found = []
    for (text, right), vector in zip(asked.questions.values(), vectors, strict=True):
        hits = await store.search([space_id], Question(text, vector, FOUND, alpha))
        ranks = [rank for rank, hit in enumerate(hits, 1) if hit.version.document.name == str(right)]
        found.append(1.0 / math.log2(1 + ranks[0]) if ranks else 0.0)
    return found
