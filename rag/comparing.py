"""What changed between two versions of a document: their clean text as a unified diff. Pure."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.values import Chunk

AROUND = 3  # lines before and after a change


@dataclass(frozen=True, slots=True)
class Compared:
    """`text` is empty where nothing that can be read changed."""

    text: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    place: str


def lines_of(chunks: Sequence[Chunk]) -> list[_Line]:
    """What chunks share with the one before them is told once."""
    found: list[_Line] = []
    past = 0
    for chunk in sorted(chunks, key=lambda one: one.ordinal):
        content = chunk.content
        fresh = content.text[max(0, past - content.start) :] if content.start < past < content.end else content.text
        if content.end > past or not found:
            found += [_Line(line.rstrip(), str(content.locator)) for line in fresh.splitlines() if line.strip()]
        past = max(past, content.end)
    return found


def compared(name: str, old: tuple[int, Sequence[Chunk]], new: tuple[int, Sequence[Chunk]]) -> Compared:
    """Each side is a version's number and its chunks."""
    before, after = lines_of(old[1]), lines_of(new[1])
    matcher = difflib.SequenceMatcher(None, [one.text for one in before], [one.text for one in after], autojunk=False)
    lines: list[str] = []
    added = removed = 0
    for group in matcher.get_grouped_opcodes(AROUND):
        lines.append(_heading(group, before, after))
        for tag, first, last, start, end in group:
            if tag == "equal":
                lines += [f" {one.text}" for one in before[first:last]]
                continue
            lines += [f"-{one.text}" for one in before[first:last]]
            lines += [f"+{one.text}" for one in after[start:end]]
            removed, added = removed + last - first, added + end - start
    if lines:
        lines[:0] = [f"--- {name} version {old[0]}", f"+++ {name} version {new[0]}"]
    return Compared("\n".join(lines), added, removed)


_Opcode = tuple[str, int, int, int, int]


def _heading(group: Sequence[_Opcode], before: Sequence[_Line], after: Sequence[_Line]) -> str:
    first, last = group[0], group[-1]
    places = " to ".join(dict.fromkeys(_ends(list(_places(group, before, after)))))
    return (
        f"@@ -{first[1] + 1},{last[2] - first[1]} +{first[3] + 1},{last[4] - first[3]} @@ {places}".rstrip()
    )  # fmt: skip


def _places(group: Sequence[_Opcode], before: Sequence[_Line], after: Sequence[_Line]) -> Iterator[str]:
    """Of what changed, where it stands now; of what went, where it stood."""
    for tag, first, last, start, end in group:
        if tag != "equal":
            changed = after[start:end] or before[first:last]
            yield from (one.place for one in changed if one.place)


def _ends(places: list[str]) -> list[str]:
    return [places[0], places[-1]] if places else []
