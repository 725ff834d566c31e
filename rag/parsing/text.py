"""Plain text, Markdown, tables as text (CSV, TSV) and JSON, each with the line where it stands. Pure."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence

from cluster.knowledge import Locator
from rag.chunking import LEAST, Block
from rag.parsing.clean import clean_lines, one_line
from rag.parsing.encodings import decoded, is_text
from rag.parsing.values import CannotParseError, ParsedDocument, present, row_text

_HEADING = re.compile(r"(#{1,2})[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_FRONT_MATTER = re.compile(r"\A---\n(.{0,10000}?)\n(?:---|\.\.\.)\n", re.DOTALL)
_FACT = re.compile(r"^(title|author|date|description)[ \t]*:[ \t]*[\"']?(.+?)[\"']?$", re.MULTILINE | re.IGNORECASE)
_DELIMITERS = ",;\t|"
_LONGEST_HEADING = 500
_LONG_LINE = 2_000  # JSON with lines longer than this was written for machines


def read_text(name: str, content: bytes) -> ParsedDocument:
    return ParsedDocument("", "text/plain", (_from_line(1, _lines_of(name, content)),))


def read_markdown(name: str, content: bytes) -> ParsedDocument:
    text = _lines_of(name, content)
    front = _FRONT_MATTER.match(text)
    facts = {key.lower(): value for key, value in _FACT.findall(front.group(1))} if front else {}
    blocks = tuple(_sections(text.splitlines(keepends=True), front.group(0).count("\n") if front else 0))
    first = next((block.heading for block in blocks if block.heading), "").split(" > ")[0]
    title = one_line(facts.pop("title", first))
    return ParsedDocument(title, "text/markdown", blocks, present(**facts))


def read_table(name: str, content: bytes) -> ParsedDocument:
    text = _lines_of(name, content)
    first = text.lstrip("\n").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    media_type = "text/tab-separated-values" if delimiter == "\t" else "text/csv"
    try:
        return ParsedDocument("", media_type, tuple(_rows(text, delimiter)))
    except csv.Error:  # quotes that never close: lines of text are left
        return ParsedDocument("", media_type, (_from_line(1, text),))


def read_json(name: str, content: bytes) -> ParsedDocument:
    text = _lines_of(name, content)
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise CannotParseError("invalid_file", f"{name} is nested too deeply to be read as JSON.") from error
    except ValueError:  # lines of JSON, or none at all
        return ParsedDocument("", "application/json", (_from_line(1, text),))
    if max(map(len, text.split("\n"))) <= _LONG_LINE:
        return ParsedDocument("", "application/json", (_from_line(1, text),))
    return ParsedDocument("", "application/json", (Block(json.dumps(value, ensure_ascii=False, indent=1)),))


def _lines_of(name: str, content: bytes) -> str:
    if not is_text(content):
        raise CannotParseError(
            "unsupported_file", f"{name} is not text. Save it as text, PDF or an office file, then add it again."
        )
    return clean_lines(decoded(content))


def _from_line(number: int, text: str, heading: str = "", markdown: bool = False) -> Block:
    """Its chunks count lines from here."""
    return Block(text, Locator("line", str(number)), heading, markdown)


def _sections(lines: Sequence[str], start: int) -> Iterator[Block]:
    """Cut at headings of the first two levels, under their titles; short ones go with what follows."""
    title, section, begun, length, fenced = "", "", start, 0, False
    for index in range(start, len(lines)):
        fenced ^= bool(_FENCE.match(lines[index]))
        heading = None if fenced else _HEADING.match(lines[index][:_LONGEST_HEADING].rstrip("\n"))
        if heading is not None:
            if length >= LEAST:
                yield _section(lines, begun, index, (title, section))
                begun, length, section = index, 0, ""
            told = one_line(heading.group(2), 120)
            starts = length == 0
            if len(heading.group(1)) == 1:
                title, section = told, ""
            else:
                section = told if starts or not section else ""  # several short ones: only their title is common
        length += len(lines[index].strip())
    yield _section(lines, begun, len(lines), (title, section))


def _section(lines: Sequence[str], begun: int, past: int, titles: Sequence[str]) -> Block:
    return _from_line(begun + 1, "".join(lines[begun:past]), " > ".join(told for told in titles if told), markdown=True)


def _rows(text: str, delimiter: str) -> Iterator[Block]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    header: list[str] | None = None
    number = 1
    for row in reader:
        if header is None and any(cell.strip() for cell in row):
            header = [one_line(cell, 80) for cell in row]
        elif header is not None:
            yield _from_line(number, row_text(header, row))
        number = reader.line_num + 1
    if header is not None and number > 1 and reader.line_num <= 1:
        yield _from_line(1, "; ".join(cell for cell in header if cell))
