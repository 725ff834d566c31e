"""XLSX, XLS and ODS: a block for each row, its cells after the names of their columns, found by its first cell. Pure.

Sheets that are hidden are left out: nobody could look up what was found there.
"""

import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import TypeAlias

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from cluster.knowledge import Locator
from rag.chunking import Block
from rag.parsing.clean import clean_text, one_line
from rag.parsing.values import CannotParseError, ParsedDocument, row_text

MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xls": "application/vnd.ms-excel",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
}
MOST_CELLS = 5_000_000
_HEADER_WITHIN = 10  # rows
_LONGEST_HEADER = 80
Cell: TypeAlias = int | float | str | bool | time | date | datetime | timedelta


def read(name: str, content: bytes) -> ParsedDocument:
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            shown = [
                sheet.name
                for sheet in book.sheets_metadata
                if sheet.visible == SheetVisibleEnum.Visible and sheet.typ == SheetTypeEnum.WorkSheet
            ]
            blocks = [block for sheet in shown for block in _blocks(name, book.get_sheet_by_name(sheet))]
    except PasswordError as error:
        raise CannotParseError(
            "invalid_file", f"{name} needs a password. Save it without one, then add it again."
        ) from error
    except (CalamineError, OSError, ValueError) as error:
        raise CannotParseError(
            "invalid_file", f"{name} is damaged: its sheets cannot be read ({one_line(str(error))}). Save it again."
        ) from error
    return ParsedDocument("", MEDIA_TYPES[_format_of(content)], tuple(blocks))


def _format_of(content: bytes) -> str:
    if not content.startswith(b"PK"):
        return "xls"
    return "ods" if b"mimetypeapplication/vnd.oasis" in content[:200] else "xlsx"


def _blocks(name: str, sheet: CalamineSheet) -> Iterator[Block]:
    if sheet.height * sheet.width > MOST_CELLS:
        raise CannotParseError(
            "invalid_file",
            f"{name} has {sheet.height * sheet.width} cells in its sheet {sheet.name!r}; at most {MOST_CELLS} are read."
            " Split it, or delete its empty rows and columns.",
        )
    first_row, first_column = sheet.start or (0, 0)
    rows = [[cell_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=True)]
    header_at = header_of(rows)
    header = [one_line(cell, _LONGEST_HEADER) for cell in rows[header_at]] if header_at is not None else []
    title = _title_above(rows[: header_at or 0])
    heading = f"{sheet.name} > {title}" if title else sheet.name
    for index, row in enumerate(rows):
        column = next((column for column, cell in enumerate(row) if cell), None)
        if column is None or index == header_at:
            continue
        place = f"{sheet.name}!{column_name(first_column + column)}{first_row + index + 1}"
        text = row_text(header if header_at is not None and index > header_at else [], row)
        yield Block(text, Locator("cell", place), heading)


def header_of(rows: Sequence[Sequence[str]]) -> int | None:
    """The row that names the columns: the first of several short texts, with rows below it. None: there is none."""
    for index, row in enumerate(rows[:_HEADER_WITHIN]):
        filled = [cell for cell in row if cell]
        if len(filled) < 2 or index + 1 >= len(rows):
            continue
        named = all(len(cell) <= _LONGEST_HEADER and not _is_number(cell) for cell in filled)
        return index if named and len(set(filled)) == len(filled) else None
    return None


def column_name(column: int) -> str:
    """From 0: A to Z, AA and so on."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def cell_text(cell: Cell) -> str:
    """As people read it: whole numbers without a point, dates without a midnight."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(round(cell, 10))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "minutes")
    if isinstance(cell, time):
        return cell.isoformat("minutes")
    return clean_text(cell) if isinstance(cell, str) else str(cell)


def _title_above(rows: Sequence[Sequence[str]]) -> str:
    """Of a table: a row with one cell before the names of its columns."""
    alone = [row for row in rows if sum(bool(cell) for cell in row) == 1]
    return one_line(next((cell for cell in alone[0] if cell), ""), 120) if alone else ""


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "", 1).replace("-", "").isdigit()
