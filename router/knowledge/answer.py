"""What potluck says to a question about documents: the passages, what stands around them, and why, or why not."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from cluster.knowledge import Found, FoundChunk
from router.knowledge.objects import Place


class PartObject(msgspec.Struct, kw_only=True):
    """A chunk. `found`: the question found it; others stand beside it. `marks`: characters of `text`, counted as code
    points, that are words of the question."""

    text: str
    locator: Place
    version: int
    score: float
    found: bool
    relevant: bool
    reason: str
    marks: tuple[tuple[int, int], ...]


class PassageObject(msgspec.Struct, kw_only=True):
    """Chunks of one file that touch, in their order. `number`: as a model would cite it; null: no model is told."""

    number: int | None
    vector_store_id: str
    file_id: str
    filename: str
    source: str
    chunks: list[PartObject]


class AnswerObject(msgspec.Struct, kw_only=True):
    """`passages`: what a model would be given to read; none where nothing is relevant, and `reason` says so. `others`:
    what was found besides, the best first."""

    object: Literal["rag.answer"] = "rag.answer"
    query: str
    as_of: float | None
    reason: str
    passages: list[PassageObject]
    others: list[PassageObject]


def answer_object(query: str, as_of: float | None, found: Found) -> AnswerObject:
    by_question = {chunk.chunk_id for chunk in found.chunks}
    passages = [
        PassageObject(
            number=one.number,
            vector_store_id=one.store_id,
            file_id=one.file_id,
            filename=one.name,
            source=one.source,
            chunks=[_part(chunk, chunk.chunk_id in by_question) for chunk in one.chunks],
        )
        for one in found.passages
    ]
    return AnswerObject(query=query, as_of=as_of, reason=found.reason, passages=passages, others=list(_others(found)))


def _others(found: Found) -> Iterator[PassageObject]:
    told = {chunk.chunk_id for passage in found.passages for chunk in passage.chunks}
    for chunk in found.chunks:
        if chunk.chunk_id not in told:
            yield PassageObject(
                number=None,
                vector_store_id=chunk.store_id,
                file_id=chunk.file_id,
                filename=chunk.name,
                source=", ".join(filter(None, (chunk.name, str(chunk.locator)))),
                chunks=[_part(chunk, True)],
            )


def _part(chunk: FoundChunk, found: bool) -> PartObject:
    return PartObject(
        text=chunk.text,
        locator=Place(chunk.locator.kind, chunk.locator.value),
        version=chunk.version,
        score=chunk.score,
        found=found,
        relevant=chunk.relevant,
        reason=chunk.reason,
        marks=chunk.marks,
    )
