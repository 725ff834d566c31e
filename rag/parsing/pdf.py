"""PDF: the text of each page, under the chapter that the outline names. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_page, one_line
from rag.parsing.values import MOST_TEXT, CannotParseError, ParsedDocument, present

MOST_PAGES = 20_000
_MOST_CHAPTERS = 5_000
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?|Z)?")


def read(name: str, content: bytes) -> ParsedDocument:
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        raise _unopened(name, error) from error
    try:
        return _read(name, document)
    finally:
        document.close()


def _unopened(name: str, error: pypdfium2.PdfiumError) -> CannotParseError:
    if getattr(error, "err_code", None) == FPDF_ERR_PASSWORD or "password" in str(error).lower():
        return CannotParseError("invalid_file", f"{name} needs a password. Save it without one, then add it again.")
    return CannotParseError("invalid_file", f"{name} is damaged: no page of it can be read. Print it to PDF again.")


def _read(name: str, document: pypdfium2.PdfDocument) -> ParsedDocument:
    pages = len(document)
    if pages > MOST_PAGES:
        raise CannotParseError(
            "invalid_file", f"{name} has {pages} pages; at most {MOST_PAGES} are read. Split it into several files."
        )
    chapters = _chapters(document)
    blocks, heading, length = [], "", 0
    for index in range(pages):
        heading = chapters.get(index, heading)
        text = _page_text(document, index)
        length += len(text)
        if length > MOST_TEXT:
            raise CannotParseError("invalid_file", f"{name} holds too much text, from page {index + 1} on. Split it.")
        blocks.append(Block(text, Locator("page", str(index + 1)), heading))
    told = document.get_metadata_dict(skip_empty=True)
    attributes = present(
        author=told.get("Author"),
        subject=told.get("Subject"),
        created=seconds_of(told.get("CreationDate", "")),
        pages=float(pages),
    )
    return ParsedDocument(one_line(told.get("Title")), "application/pdf", tuple(blocks), attributes)


def _page_text(document: pypdfium2.PdfDocument, index: int) -> str:
    """A page that is damaged is left out: the others are still worth finding."""
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return ""
    try:
        text = page.get_textpage()
        try:
            return clean_page(text.get_text_bounded())
        finally:
            text.close()
    except pypdfium2.PdfiumError:
        return ""
    finally:
        page.close()


def _chapters(document: pypdfium2.PdfDocument) -> dict[int, str]:
    """Page from 0 to the titles above it, the deepest that begins there."""
    chapters: dict[int, str] = {}
    above: list[str] = []
    for count, mark in enumerate(document.get_toc(max_depth=6)):
        if count >= _MOST_CHAPTERS:
            break
        target = mark.get_dest()
        page = target.get_index() if target is not None else None
        above = [*above[: mark.level], one_line(mark.get_title(), 120)]
        if page is not None:
            chapters[page] = " > ".join(title for title in above if title)
    return chapters


def seconds_of(date: str) -> float | None:
    """Of a date as PDF writes it, `D:20250304093000+01'00'`."""
    found = _DATE.match(date)
    if found is None:
        return None
    year, *rest = (int(part) if part else None for part in found.groups()[:6])
    month, day, hour, minute, second = (
        one if one is not None else at for one, at in zip(rest, (1, 1, 0, 0, 0), strict=True)
    )
    sign, hours, minutes = found.group(7), int(found.group(8) or 0), int(found.group(9) or 0)
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(offset) if offset else UTC
        return datetime(year or 0, month, day, hour, minute, second, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None
