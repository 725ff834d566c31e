"""A document's text in chunks that can be found and quoted: cut where the text pauses, with the place of each. Pure.

A parser gives blocks, each with one place that a person can find: a page, a slide, a row of cells, a message. A chunk
never reaches over two places, but for blocks of plain text, which have none and are joined until they fill a chunk.
Of a block whose place is a line, every chunk is at the line where it begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from cluster.knowledge import Chunking, Locator
from rag.values import NOWHERE, NewChunk

LEAST, MOST = 300, 1_200  # characters; some 70 to 300 tokens, so that several fit a prompt and each says one thing
TOKEN = 4  # characters, as encoders cut Western languages
JOIN = "\n\n"
_STRETCH = 20_000  # characters that are cut at once: the splitter takes 23 s over a megabyte without a pause


@dataclass(frozen=True, slots=True)
class Block:
    """`heading` is what the text stands under: titles of its chapter and section, the subject of a mail."""

    text: str
    locator: Locator = NOWHERE
    heading: str = ""
    markdown: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """`text` is the clean document, of which each chunk is a part."""

    text: str
    chunks: tuple[NewChunk, ...]


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Of chunks, in characters."""

    least: int = LEAST
    most: int = MOST
    overlap: int = 0


def cut(blocks: Sequence[Block], chunking: Chunking | None = None) -> Cut:
    """Blocks that hold no text are left out. `chunking` None: chunks as long as suits search."""
    lengths = _lengths(chunking)
    parts: list[str] = []
    chunks: list[NewChunk] = []
    at = 0
    for block in _joined([block for block in blocks if block.text.strip()], lengths.most):
        if parts:
            at += len(JOIN)
        parts.append(block.text)
        pieces = _pieces(block, lengths)
        for (start, text), place in zip(pieces, _places(block, pieces), strict=True):
            chunks.append(NewChunk(text, at + start, at + start + len(text), place, block.heading))
        at += len(block.text)
    return Cut(JOIN.join(parts), tuple(chunks))


def _lengths(chunking: Chunking | None) -> _Lengths:
    """An overlap is less than half a chunk, or each would say little of its own."""
    if chunking is None:
        return _Lengths()
    most = max(1, chunking.most_tokens) * TOKEN
    overlap = min(max(0, chunking.overlap_tokens) * TOKEN, most // 2)
    return _Lengths(min(most, max(most * LEAST // MOST, overlap + 1)), most, overlap)


def _joined(blocks: Sequence[Block], most: int) -> Iterator[Block]:
    """Neighbours without a place of their own, under the same heading, while they are shorter than a chunk together."""
    ahead: list[Block] = []
    length = 0
    for block in blocks:
        if ahead and not (_go_together(ahead[0], block) and length + len(JOIN) + len(block.text) <= most):
            yield _as_one(ahead)
            ahead, length = [], 0
        length += len(block.text) + (len(JOIN) if ahead else 0)
        ahead.append(block)
    if ahead:
        yield _as_one(ahead)


def _go_together(one: Block, other: Block) -> bool:
    if one.locator.kind == "line":  # each counts its own
        return False
    return (one.locator, one.heading, one.markdown) == (other.locator, other.heading, other.markdown)


def _as_one(blocks: Sequence[Block]) -> Block:
    first = blocks[0]
    return Block(JOIN.join(block.text for block in blocks), first.locator, first.heading, first.markdown)


def _places(block: Block, pieces: Sequence[tuple[int, str]]) -> Iterator[Locator]:
    if block.locator.kind != "line":
        yield from (block.locator for _ in pieces)
        return
    line, at = int(block.locator.value), 0
    for start, _ in pieces:
        line += block.text.count("\n", at, start) if start >= at else -block.text.count("\n", start, at)
        at = start
        yield Locator("line", str(line))


def _pieces(block: Block, lengths: _Lengths) -> list[tuple[int, str]]:
    """Offset and text of each. What the splitter leaves over, a heading alone or a last line, goes with a neighbour."""
    splitter = (MarkdownSplitter if block.markdown else TextSplitter)((lengths.least, lengths.most), lengths.overlap)
    pieces: list[tuple[int, str]] = []
    for begun, stretch in _stretches(block.text):
        for offset, text in splitter.chunk_indices(stretch):
            start = begun + offset
            before = pieces[-1] if pieces else None
            short = before is not None and min(len(before[1]), len(text)) < lengths.least
            if before is not None and short and start + len(text) - before[0] <= lengths.most:
                pieces[-1] = before[0], block.text[before[0] : start + len(text)]
            else:
                pieces.append((start, text))
    return pieces


def _stretches(text: str) -> Iterator[tuple[int, str]]:
    """Parts that the splitter is quick with, cut at a pause where there is one."""
    at = 0
    while len(text) - at > _STRETCH:
        ends = (text.rfind(pause, at + _STRETCH // 2, at + _STRETCH) for pause in ("\n\n", "\n", " "))
        end = next((end for end in ends if end != -1), at + _STRETCH // 4)
        yield at, text[at:end]
        at = end
    yield at, text[at:]
