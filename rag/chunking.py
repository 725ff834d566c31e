"""A document's text in chunks that can be found and quoted: cut where the text pauses, with the place of each. Pure.

A parser gives blocks, each with one place that a person can find: a page, a slide, a row of cells, a message. A chunk
never reaches over two places, but for blocks of plain text, which have none and are joined until they fill a chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from cluster.knowledge import Locator
from rag.values import NOWHERE, NewChunk

LEAST, MOST = 300, 1_200  # characters; some 70 to 300 tokens, so that several fit a prompt and each says one thing
JOIN = "\n\n"


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


def cut(blocks: Sequence[Block]) -> Cut:
    """Blocks that hold no text are left out."""
    parts: list[str] = []
    chunks: list[NewChunk] = []
    at = 0
    for block in _joined([block for block in blocks if block.text.strip()]):
        if parts:
            at += len(JOIN)
        parts.append(block.text)
        for start, text in _pieces(block):
            chunks.append(NewChunk(text, at + start, at + start + len(text), block.locator, block.heading))
        at += len(block.text)
    return Cut(JOIN.join(parts), tuple(chunks))


def _joined(blocks: Sequence[Block]) -> Iterator[Block]:
    """Neighbours without a place of their own, under the same heading, while they are shorter than a chunk together."""
    ahead: Block | None = None
    for block in blocks:
        if ahead is not None and _go_together(ahead, block):
            ahead = Block(ahead.text + JOIN + block.text, ahead.locator, ahead.heading, ahead.markdown)
            continue
        if ahead is not None:
            yield ahead
        ahead = block
    if ahead is not None:
        yield ahead


def _go_together(one: Block, other: Block) -> bool:
    same = (one.locator, one.heading, one.markdown) == (other.locator, other.heading, other.markdown)
    return same and len(one.text) + len(JOIN) + len(other.text) <= MOST


def _pieces(block: Block) -> list[tuple[int, str]]:
    """Offset and text of each. What the splitter leaves over, a heading alone or a last line, goes with a neighbour."""
    splitter = MarkdownSplitter((LEAST, MOST)) if block.markdown else TextSplitter((LEAST, MOST))
    pieces: list[tuple[int, str]] = []
    for start, text in splitter.chunk_indices(block.text):
        before = pieces[-1] if pieces else None
        if before is not None and min(len(before[1]), len(text)) < LEAST and start + len(text) - before[0] <= MOST:
            pieces[-1] = before[0], block.text[before[0] : start + len(text)]
        else:
            pieces.append((start, text))
    return pieces
