"""Where an answer cites the passages that its prompt held, and how each is named to the client. Pure.

Every passage that was put into the prompt is named, in the order of its number, and no other: clients that show `[2]`
as the second source are right. One that the answer cites stands where it does so first; one that it does not, at the
answer's end.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from cluster.knowledge import FoundPassage, Locator

_MARKS = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_NUMBERS = re.compile(r"\d+")


class Citation(NamedTuple):
    """`start` and `end` count characters of the answer; alike where it does not cite this passage."""

    passage: FoundPassage
    start: int
    end: int


def citations(text: str, passages: Sequence[FoundPassage]) -> list[Citation]:
    """Of an answer; none where it says nothing."""
    if not text:
        return []
    places: dict[int, tuple[int, int]] = {}
    for mark in _MARKS.finditer(text):
        for number in _NUMBERS.findall(mark[1]):
            places.setdefault(int(number), mark.span())
    end = (len(text), len(text))
    return [Citation(passage, *places.get(passage.number, end)) for passage in passages]


def locator_of(passage: FoundPassage) -> Locator:
    """Where its best chunk stands: those around it help to understand it, and are not what was found."""
    best = max(passage.chunks, key=lambda chunk: (chunk.relevant, chunk.score), default=None)
    return Locator() if best is None else best.locator


def url_of(passage: FoundPassage, origin: str) -> str:
    """Of the text that was read, in the version that was cited; relative where the client's way here is not known."""
    locator = locator_of(passage)
    path = f"/v1/vector_stores/{quote(passage.store_id, '')}/files/{quote(passage.file_id, '')}/content"
    place = f"#{quote(locator.kind, '')}={quote(locator.value, '!:')}" if locator.kind else ""
    return f"{origin}{path}?version={passage.version}{place}"


def url_citation(citation: Citation, origin: str) -> Mapping[str, object]:
    """As chats annotate their messages."""
    passage = citation.passage
    about = {"start_index": citation.start, "end_index": citation.end, "title": passage.source}
    return {"type": "url_citation", "url_citation": {"url": url_of(passage, origin), **about}}
