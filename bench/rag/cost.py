"""What a question costs among very many chunks: processor milliseconds, memory, and whether anything was missed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import psutil

from inventory.clock import SystemClock
from rag.stores.contract import Question
from rag.stores.embedded import EmbeddedStore
from rag.values import Hit, NewChunk, NewDocument, Space, SpaceId, Vectors

DIMENSIONS = 512
CHUNKS_OF_A_DOCUMENT = 100
WORDS_OF_A_CHUNK = 60
VOCABULARY = 30_000
NEAREST = 10


@dataclass(frozen=True, slots=True)
class Cost:
    p50_ms: float
    p95_ms: float
    recall: float
    matrix_mb: float
    file_mb: float


async def cost(scratch: Path, chunks: int, questions: int) -> Cost:
    """Vectors in clusters, as texts have topics, and words as rare as words are."""
    dice = np.random.default_rng(10)
    path, space_id = scratch / "many.db", SpaceId("bench", "many")
    store = EmbeddedStore(path, SystemClock())
    try:
        await store.make_space(Space(space_id, "synthetic", DIMENSIONS, "private", 0.0))
        topics = unit(dice.standard_normal((2_000, DIMENSIONS), dtype=np.float32))
        everything = []
        for number in range(chunks // CHUNKS_OF_A_DOCUMENT):
            vectors = around(topics, CHUNKS_OF_A_DOCUMENT, dice)
            texts = [" ".join(f"w{word}" for word in zipf(WORDS_OF_A_CHUNK, dice)) for _ in vectors]
            name = hashlib.sha256(str(number).encode()).hexdigest()
            document = NewDocument(str(number), name, "", "text/plain", "", "private", {}, 0)
            await store.put(space_id, document, [NewChunk(text, 0, len(text)) for text in texts], vectors)
            everything.append(vectors.astype(np.float16).astype(np.float32))
        exact = np.concatenate(everything)
        before = psutil.Process().memory_info().rss
        await store.search([space_id], Question("w1 w2", topics[0], NEAREST))
        taken, missed = [], 0
        for vector in around(topics, questions, dice):
            text = " ".join(f"w{word}" for word in zipf(8, dice))
            started = process_time()
            await store.search([space_id], Question(text, vector, NEAREST))
            taken.append((process_time() - started) * 1000)
            hits = await store.search([space_id], Question("", vector, NEAREST, alpha=1.0))
            best = set(np.argsort(exact @ vector)[-NEAREST:].tolist())
            missed += len(best - {number_of(hit) for hit in hits})
        p50, p95 = np.percentile(taken, [50, 95])
        grown = psutil.Process().memory_info().rss - before
    finally:
        await store.close()
    recall = 1.0 - missed / (NEAREST * questions)
    return Cost(float(p50), float(p95), recall, grown / 1e6, path.stat().st_size / 1e6)


def number_of(hit: Hit) -> int:
    return int(hit.version.document.name) * CHUNKS_OF_A_DOCUMENT + hit.chunk.ordinal


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def around(topics: Vectors, count: int, dice: np.random.Generator) -> Vectors:
    noise = dice.standard_normal((count, DIMENSIONS), dtype=np.float32) * (0.7 / DIMENSIONS**0.5)
    return unit(topics[dice.integers(len(topics), size=count)] + noise)


def zipf(count: int, dice: np.random.Generator) -> list[int]:
    return [int(one) for one in np.minimum(dice.zipf(1.3, count), VOCABULARY)]
