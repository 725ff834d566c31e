"""How much of licensed material is told to somebody who only reads it. Pure."""

from collections.abc import Iterable, Set
from dataclasses import replace

from rag.retrieval import Judged

CHARACTERS = 4_000  # of one document in one answer: passages, and never a book
TOKENS = 2_000  # of all passages of an answer, with what stands around them


def within_licence(judged: Iterable[Judged], licensed: Set[str]) -> list[Judged]:
    """The best first, of each document in the stores of `licensed` so much as an answer may tell."""
    told: dict[tuple[str, str], int] = {}
    found: list[Judged] = []
    for hit, evidence in judged:
        if hit.version.space_id.name not in licensed:
            found.append((hit, evidence))
            continue
        document = hit.version.space_id.name, hit.version.document_id
        left = CHARACTERS - told.get(document, 0)
        content = hit.chunk.content
        if left > 0:
            text = content.text[:left]
            told[document] = told.get(document, 0) + len(text)
            shorter = replace(content, text=text, end=min(content.end, content.start + len(text)))
            found.append((replace(hit, chunk=replace(hit.chunk, content=shorter)), evidence))
    return found
