"""Checks of vectors and ranks."""

import base64
import struct

from cli.conformance.reading import at, count_at, list_at
from cli.conformance.server import Answer, Server
from cli.conformance.verdicts import Check, Seen, failed, not_offered, passed

TEXTS = ("The ferry leaves at noon.", "Grandmother's bread needs two hours.", "La nieve cubre el puerto.")
QUERY = "When does the boat go?"
PATH = "/v1/embeddings"
CLOSE = 1e-3  # batches are computed in another order


async def _embedded(server: Server, texts: object, **fields: object) -> Answer | Seen:
    """The answer, or that there is none to be had."""
    answer = await server.post(PATH, {"model": server.facts.embedder, "input": texts, **fields})
    if answer.absent:
        return not_offered(f"{answer.status} at {PATH}")
    if answer.status == 400 and server.facts.embedder == server.facts.model:
        return not_offered(f"{server.facts.embedder} does not embed")
    return answer if answer.status == 200 else failed(f"{answer.status}: {answer.text[:80]!r}")


def _vectors(answer: Answer) -> list[list[float]]:
    found = []
    for entry in list_at(answer.document, "data"):
        told = at(entry, "embedding")
        if isinstance(told, str):
            packed = base64.b64decode(told)
            found.append(list(struct.unpack(f"<{len(packed) // 4}f", packed)))
        else:
            found.append([float(number) for number in list_at(entry, "embedding") if isinstance(number, int | float)])
    return found


def _alike(first: list[float], second: list[float]) -> bool:
    return len(first) == len(second) > 0 and all(abs(a - b) < CLOSE for a, b in zip(first, second, strict=True))


async def packed(server: Server) -> Seen:
    plain = await _embedded(server, list(TEXTS), encoding_format="float")
    if isinstance(plain, Seen):
        return plain
    coded = await _embedded(server, list(TEXTS), encoding_format="base64")
    if isinstance(coded, Seen):
        return coded
    if not isinstance(at(coded.document, "data", 0, "embedding"), str):
        return failed("encoding_format base64 is ignored")
    alike = all(_alike(*pair) for pair in zip(_vectors(plain), _vectors(coded), strict=True))
    return passed(f"{len(_vectors(plain)[0])} numbers") if alike else failed("other numbers than the floats")


async def order(server: Server) -> Seen:
    batch = await _embedded(server, list(TEXTS), encoding_format="float")
    if isinstance(batch, Seen):
        return batch
    if [count_at(entry, "index") for entry in list_at(batch.document, "data")] != list(range(len(TEXTS))):
        return failed("indexes are not 0, 1, 2")
    for text, vector in zip(TEXTS, _vectors(batch), strict=True):
        alone = await _embedded(server, text, encoding_format="float")
        if isinstance(alone, Seen):
            return alone
        if not _alike(_vectors(alone)[0], vector):
            return failed(f"{text!r} alone has another vector than in the batch")
    return passed(f"{len(TEXTS)} texts")


async def usage(server: Server) -> Seen:
    answer = await _embedded(server, list(TEXTS))
    if isinstance(answer, Seen):
        return answer
    prompt, total = (count_at(answer.document, "usage", name) for name in ("prompt_tokens", "total_tokens"))
    return passed(f"{prompt} tokens") if prompt and prompt == total else failed(f"prompt {prompt}, total {total}")


async def rerank(server: Server) -> Seen:
    body = {"model": server.facts.ranker, "query": QUERY, "documents": list(TEXTS)}
    answer = await server.post("/v1/rerank", body)
    if answer.absent:
        return not_offered(f"{answer.status} at /v1/rerank")
    if answer.status == 400 and server.facts.ranker == server.facts.model:
        return not_offered(f"{server.facts.ranker} does not rank")
    results = list_at(answer.document, "results")
    indexes = [count_at(result, "index") for result in results]
    scores = [score for result in results if isinstance(score := at(result, "relevance_score"), int | float)]
    if answer.status != 200 or len(scores) != len(TEXTS) or sorted(map(str, indexes)) != ["0", "1", "2"]:
        return failed(f"{answer.status}, indexes {indexes}, {len(scores)} relevance_score")
    return passed("best first") if scores == sorted(scores, reverse=True) else failed(f"scores {scores}")


CHECKS = (
    Check(
        "embeddings-base64",
        "embeddings",
        "encoding_format base64 holds the same numbers as the floats.",
        "OpenAI's client asks for base64 unless told otherwise.",
        packed,
    ),
    Check(
        "embeddings-order",
        "embeddings",
        "A batch's vectors are those of its texts, in their order.",
        "A store filled in the wrong order is wrong for good.",
        order,
    ),
    Check(
        "embeddings-usage", "embeddings", "Embeddings tell their tokens.", "What is not told cannot be budgeted.", usage
    ),
    Check(
        "rerank-order",
        "embeddings",
        "/v1/rerank gives every document once, with its index, best first.",
        "Jina's and Cohere's clients take the first of them.",
        rerank,
    ),
)
