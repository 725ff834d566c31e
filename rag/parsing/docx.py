"""DOCX: paragraphs and tables in their order, under their headings, on the page that Word last showed them on. Pure.

python-docx opens the package; the text is taken from its tree, since what was inserted under revision, text boxes and
content controls are not among its paragraphs. What was deleted under revision is left out.
"""

import io
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.opc.exceptions import PackageNotFoundError
from lxml import etree

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.values import CannotParseError, ParsedDocument, present, row_text
from rag.values import NOWHERE

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_NOTES = {"/word/footnotes.xml": f"{_W}footnote", "/word/endnotes.xml": f"{_W}endnote"}


def read(name: str, content: bytes) -> ParsedDocument:
    try:
        document = docx.Document(io.BytesIO(content))
        blocks = [*_body(document), *_notes(document)]
        told = document.core_properties
        attributes = present(
            author=told.author,
            subject=told.subject,
            created=told.created.timestamp() if told.created else None,
        )
        title = one_line(told.title)
    except (PackageNotFoundError, etree.XMLSyntaxError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: its document cannot be read ({one_line(str(error))}). Save it again."
        ) from error
    return ParsedDocument(title, MEDIA_TYPE, tuple(blocks), attributes)


def _body(document: Document) -> Iterator[Block]:
    levels = _heading_levels(document)
    paged = next(document.element.body.iter(f"{_W}lastRenderedPageBreak"), None) is not None
    page, above = 1, list[str]()
    for element in _walk(document.element.body):
        breaks = sum(1 for _ in element.iter(f"{_W}lastRenderedPageBreak"))
        if breaks and _begins_with_break(element):
            page, breaks = page + 1, breaks - 1
        text = _table(element) if element.tag == f"{_W}tbl" else clean_text(_text(element))
        level = _level(element, levels)
        if level is not None and text:
            above = [*above[:level], one_line(text, 120)]
        if text:
            place = Locator("page", str(page)) if paged else NOWHERE
            yield Block(text, place, " > ".join(above))
        page += breaks


def _walk(body: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables that stand in no other one, also within content controls."""
    ahead = list(reversed(body))
    while ahead:
        element = ahead.pop()
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag != _FALLBACK:
            ahead.extend(reversed(element))


def _text(element: etree._Element) -> str:
    parts: list[str] = []
    for part in element.iter(f"{_W}t", f"{_W}p", *_BREAKS):
        if next(part.iterancestors(_FALLBACK), None) is not None:
            continue  # the same again, for older programs
        if part.tag == f"{_W}t":
            parts.append(part.text or "")
        elif part.tag == f"{_W}p":
            parts.append("\n" if parts else "")
        elif part.getparent().tag == f"{_W}r":  # a `tab` among properties is a tab stop
            parts.append(_BREAKS[part.tag])
    return "".join(parts)


def _begins_with_break(element: etree._Element) -> bool:
    """Whether the page turns before its first letter."""
    first = next(element.iter(f"{_W}t", f"{_W}lastRenderedPageBreak"), None)
    return first is not None and first.tag == f"{_W}lastRenderedPageBreak"


def _table(table: etree._Element) -> str:
    rows = [
        [clean_text(_text(cell)) for cell in row.iterchildren(f"{_W}tc", f"{_W}sdt")]
        for row in table.iterchildren(f"{_W}tr")
    ]
    if len(rows) < 2:
        return "\n".join(row_text([], row) for row in rows)
    header = [one_line(cell, 80) for cell in rows[0]]
    return "\n".join(line for line in (row_text(header, row) for row in rows[1:]) if line)


def _heading_levels(document: Document) -> dict[str, int]:
    """Style ids to levels from 0. The name of a style is the same in every language, its id is not."""
    levels = {}
    for style in document.styles.element.iterchildren(f"{_W}style"):
        name = style.find(f"{_W}name")
        told = (name.get(f"{_W}val") or "").lower() if name is not None else ""
        if told == "title":
            levels[style.get(f"{_W}styleId")] = 0
        elif told.startswith("heading ") and told[8:].isdigit():
            levels[style.get(f"{_W}styleId")] = int(told[8:])
    return levels


def _level(element: etree._Element, levels: dict[str, int]) -> int | None:
    style = element.find(f"{_W}pPr/{_W}pStyle")
    return levels.get(style.get(f"{_W}val")) if style is not None else None


def _notes(document: Document) -> Iterator[Block]:
    for part in document.part.package.iter_parts():
        tag = _NOTES.get(str(part.partname))
        if tag is None:
            continue
        tree = etree.fromstring(part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
        for note in tree.iterchildren(tag):
            yield Block(clean_text(_text(note)), NOWHERE, "Footnotes")
