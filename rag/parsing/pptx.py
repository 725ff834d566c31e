"""PPTX: what stands on each slide, its tables, and the speaker's notes. Pure."""

import io
from collections.abc import Iterable, Iterator
from zipfile import BadZipFile

import pptx
from lxml import etree
from pptx.exc import PythonPptxError
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.values import CannotParseError, ParsedDocument, present, row_text

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def read(name: str, content: bytes) -> ParsedDocument:
    try:
        slides = pptx.Presentation(io.BytesIO(content))
        blocks = [block for number, slide in enumerate(slides.slides, 1) for block in _blocks(slide, number)]
        told = slides.core_properties
        attributes = present(
            author=told.author,
            subject=told.subject,
            created=told.created.timestamp() if told.created else None,
            slides=float(len(slides.slides)),
        )
        title = one_line(told.title)
    except (
        PythonPptxError, etree.XMLSyntaxError, BadZipFile, KeyError, ValueError, AttributeError, TypeError
    ) as error:  # fmt: skip
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: its slides cannot be read ({one_line(str(error))}). Save it again."
        ) from error
    return ParsedDocument("" if title == "PowerPoint Presentation" else title, MEDIA_TYPE, tuple(blocks), attributes)


def _blocks(slide: Slide, number: int) -> Iterator[Block]:
    place = Locator("slide", str(number))
    named = slide.shapes.title
    title = one_line(named.text_frame.text) if named is not None else ""
    shown = [clean_text(text) for text in _texts(slide.shapes)]
    yield Block("\n".join(text for text in shown if text), place, title)
    if slide.has_notes_slide:
        notes = slide.notes_slide.notes_text_frame
        yield Block(clean_text(notes.text) if notes is not None else "", place, title)


def _texts(shapes: Iterable[BaseShape]) -> Iterator[str]:
    """In the order in which they were drawn; groups are looked into, without recursion: they may be nested deeply."""
    ahead = list(reversed(list(shapes)))
    while ahead:
        shape = ahead.pop()
        if isinstance(shape, GroupShape):
            ahead.extend(reversed(list(shape.shapes)))
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
            yield "\n".join(row_text(rows[0], row) for row in rows[1:]) if len(rows) > 1 else row_text([], rows[0])
        elif shape.has_text_frame:
            yield shape.text_frame.text  # type: ignore[attr-defined]  # only shapes with a frame say that they have one
