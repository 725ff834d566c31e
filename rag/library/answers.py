"""What was found, as it is told to those who asked. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from cluster.knowledge import Counts, Found, FoundChunk, FoundPassage
from rag.context import Passage, told
from rag.library.rows import FileRow
from rag.relevance import Evidence
from rag.retrieval import Judged
from rag.values import Hit, Version

Names = Mapping[tuple[str, str], FileRow]
"""Files by their store and the name of their document."""


def each_text_once(judged: Iterable[Judged]) -> tuple[Judged, ...]:
    """The first of those that say the same, word by word: copies of a document fill no context."""
    seen: dict[str, Judged] = {}
    for hit, evidence in judged:
        seen.setdefault(" ".join(hit.chunk.content.text.split()), (hit, evidence))
    return tuple(seen.values())


def known(judged: Iterable[Judged], names: Names) -> tuple[Judged, ...]:
    """Without what is leaving."""
    return tuple((hit, evidence) for hit, evidence in judged if place_of(hit.version) in names)


def place_of(version: Version) -> tuple[str, str]:
    return version.space_id.name, version.document.name


def found(judged: Sequence[Judged], passages: Sequence[Passage], names: Names, reason: str) -> Found:
    judgements = {hit.chunk.chunk_id: evidence for hit, evidence in judged}
    scores = {hit.chunk.chunk_id: hit.score for hit, _ in judged}
    return Found(
        tuple(_chunk(hit, evidence, names) for hit, evidence in judged),
        tuple(_passage(one, judgements, scores, names) for one in passages),
        told(passages),
        reason,
    )


def why(judged: Sequence[Judged], passages: Sequence[Passage], counts: Counts) -> str:
    """What came of a question, in words for people."""
    relevant = sum(evidence.relevant for _, evidence in judged)
    if passages:
        told_of = sum(len(one.hits) for one in passages)
        return f"{told_of} of {len(judged)} chunks that were found are told, in {_some(len(passages), 'passage')}"
    if relevant:
        return f"{_some(relevant, 'relevant chunk')} found, and none is short enough for the context's budget"
    if judged:
        best = max(judged, key=lambda one: one[0].score)[1]
        return f"nothing relevant was found: the best of {_some(len(judged), 'chunk')} has {best.reason}"
    if not counts.completed and counts.in_progress:
        return f"nothing can be found yet: {_some(counts.in_progress, 'file')} still being read"
    if not counts.total:
        return "nothing can be found: there are no files in what was asked"
    return f"nothing was found in {_some(counts.completed, 'file')} that could be read"


def together(counts: Iterable[Counts]) -> Counts:
    each = list(counts)
    return Counts(
        sum(one.in_progress for one in each),
        sum(one.completed for one in each),
        sum(one.failed for one in each),
        sum(one.cancelled for one in each),
    )


def _passage(
    passage: Passage, judgements: Mapping[str, Evidence], scores: Mapping[str, float], names: Names
) -> FoundPassage:
    row = names[place_of(passage.version)]
    around = Evidence(None, 0.0, False, "stands beside what was found")
    chunks = tuple(
        _chunk(
            Hit(chunk, passage.version, scores.get(chunk.chunk_id, 0.0), None, None),
            judgements.get(chunk.chunk_id, around),
            names,
        )
        for chunk in passage.chunks
    )
    return FoundPassage(
        passage.number, row.store_id, row.file_id, row.name, passage.version.number, passage.source, chunks
    )  # fmt: skip


def _chunk(hit: Hit, evidence: Evidence, names: Names) -> FoundChunk:
    row, content = names[place_of(hit.version)], hit.chunk.content
    return FoundChunk(
        hit.chunk.chunk_id, row.store_id, row.file_id, row.name, hit.version.number, hit.score, content.text,
        content.locator, content.start, content.end, hit.version.document.attributes, evidence.relevant,
        evidence.reason,
    )  # fmt: skip


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
