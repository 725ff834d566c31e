"""What was found, as it is told to those who asked. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.knowledge import Counts, Found, FoundChunk, FoundPassage
from rag.context import Passage, marked, told
from rag.library.rows import FileRow, StoreRow
from rag.relevance import Evidence, marks
from rag.retrieval import Judged
from rag.values import Hit, Version

Files = Mapping[tuple[str, str], FileRow]
"""Files by their store and the name of their document."""


@dataclass(frozen=True, slots=True)
class Names:
    """What everything that was found is called, and the stores it lies in, by their ids."""

    files: Files
    stores: Mapping[str, StoreRow]

    def file(self, version: Version) -> FileRow:
        return self.files[place_of(version)]

    def licence(self, version: Version) -> str:
        return self.stores[version.space_id.name].licence


def each_text_once(judged: Iterable[Judged]) -> tuple[Judged, ...]:
    """The first of those that say the same, word by word: copies of a document fill no context."""
    seen: dict[str, Judged] = {}
    for hit, evidence in judged:
        seen.setdefault(" ".join(hit.chunk.content.text.split()), (hit, evidence))
    return tuple(seen.values())


def known(judged: Iterable[Judged], files: Files) -> tuple[Judged, ...]:
    """Without what is leaving."""
    return tuple((hit, evidence) for hit, evidence in judged if place_of(hit.version) in files)


def place_of(version: Version) -> tuple[str, str]:
    return version.space_id.name, version.document.name


def found(judged: Sequence[Judged], passages: Sequence[Passage], names: Names, reason: str) -> Found:
    judgements = {hit.chunk.chunk_id: evidence for hit, evidence in judged}
    scores = {hit.chunk.chunk_id: hit.score for hit, _ in judged}
    return Found(
        tuple(_chunk(hit, evidence, names) for hit, evidence in judged),
        tuple(_passage(one, judgements, scores, names) for one in passages),
        told(passages, names.licence),
        reason,
        frozenset(names.stores[name].data_class for name in _stores(judged, passages)),
    )


def _stores(judged: Sequence[Judged], passages: Sequence[Passage]) -> set[str]:
    found = [hit.version for hit, _ in judged] + [one.version for one in passages]
    return {version.space_id.name for version in found}


def with_marks(found: Found, question: str) -> Found:
    """The same, with the question's words marked in all of it."""

    def each(chunks: tuple[FoundChunk, ...]) -> tuple[FoundChunk, ...]:
        return tuple(replace(chunk, marks=marks(question, chunk.text)) for chunk in chunks)

    passages = tuple(replace(one, chunks=each(one.chunks)) for one in found.passages)
    return replace(found, chunks=each(found.chunks), passages=passages)


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
    row, licence = names.file(passage.version), names.licence(passage.version)
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
        passage.number, row.store_id, row.file_id, row.name, passage.version.number, marked(passage.source, licence),
        chunks, licence,
    )  # fmt: skip


def _chunk(hit: Hit, evidence: Evidence, names: Names) -> FoundChunk:
    row, content = names.file(hit.version), hit.chunk.content
    return FoundChunk(
        hit.chunk.chunk_id, row.store_id, row.file_id, row.name, hit.version.number, hit.score, content.text,
        content.locator, content.start, content.end, hit.version.document.attributes, evidence.relevant,
        evidence.reason, names.licence(hit.version),
    )  # fmt: skip


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
