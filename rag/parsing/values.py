"""What parsers speak of: a parsed document, why there is none, and how much one may hold. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from cluster.knowledge import Attribute
from rag.chunking import Block

ProblemCode = Literal["unsupported_file", "invalid_file"]

MOST_BYTES = 100_000_000  # of a file
MOST_TEXT = 32_000_000  # characters of a document
MOST_BLOCKS = 200_000


class CannotParseError(Exception):
    """What is wrong with the file, and what to do next. Becomes the problem of the file in its store."""

    def __init__(self, code: ProblemCode, message: str) -> None:
        super().__init__(message)
        self.code: ProblemCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """`language` is ISO 639-1, "" where it could not be told. `attributes` is what the file says of itself: author,
    created (seconds), subject, from and so on."""

    title: str
    media_type: str
    blocks: tuple[Block, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    language: str = ""


ParseInner: TypeAlias = Callable[[str, bytes], ParsedDocument]
"""Parses what lies inside of another file, by its name, as deep and as often as bounds allow."""


def checked(document: ParsedDocument, name: str) -> ParsedDocument:
    """Without empty blocks. Raises CannotParseError where nothing is left, or too much."""
    blocks = tuple(block for block in document.blocks if block.text.strip())
    if not blocks:
        raise CannotParseError("unsupported_file", f"{name} has no text in it.{_no_text(document.media_type)}")
    if len(blocks) > MOST_BLOCKS or sum(len(block.text) for block in blocks) > MOST_TEXT:
        raise CannotParseError(
            "invalid_file",
            f"{name} holds more than {MOST_TEXT // 1_000_000} million characters or {MOST_BLOCKS} passages of text."
            " Split it into several files.",
        )
    return replace(document, blocks=blocks)


def _no_text(media_type: str) -> str:
    if media_type == "application/pdf":
        return " It may be a scan: make its text readable first (OCR), then add it again."
    return " Nothing can be found in it."


def present(**attributes: Attribute | None) -> dict[str, Attribute]:
    """Those that say something, as text that is not endless."""
    kept: dict[str, Attribute] = {}
    for key, value in attributes.items():
        clean = " ".join(value.split())[:512] if isinstance(value, str) else value
        if clean is not None and clean != "":
            kept[key.rstrip("_")] = clean
    return kept


def row_text(header: Sequence[str], row: Sequence[str]) -> str:
    """A row of a table as one line that reads by itself: each filled cell after the name of its column."""
    cells = []
    for column, value in enumerate(row):
        text = " ".join(value.split())
        name = header[column] if column < len(header) else ""
        if text:
            cells.append(f"{name}: {text}" if name else text)
    return "; ".join(cells)
