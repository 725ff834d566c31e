"""What people write about files beside them: `metadata.csv` or `metadata.json` in a folder, `NAME.metadata.json`. Pure.

The first column of the table is `file`, a path below the table's folder; each other column is an attribute. In JSON it
is `{"path": {"attribute": value}}`, and of one file `{"attribute": value}`. What stands nearer to a file wins.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from posixpath import basename

from cluster.knowledge import Attribute
from rag.parsing.encodings import decoded, is_text

TABLES = ("metadata.csv", "metadata.json")
BESIDE = ".metadata.json"
MOST_BYTES = 10_000_000
MOST_ATTRIBUTES = 16  # as OpenAI's vector stores have them
LONGEST_KEY, LONGEST_TEXT = 64, 512
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,10})?")  # not 007 or 612 345 678: those are names of things


class SidecarError(Exception):
    """What is wrong with a table of metadata, and in which line. Told beside the folder; its files are read without."""

    def __init__(self, path: str, line: int | None, why: str) -> None:
        where = f"{path}, line {line}" if line is not None else path
        super().__init__(f"{where}: {why}")
        self.path, self.line, self.why = path, line, why


def is_sidecar(path: str) -> bool:
    """Whether it tells of files, and is none to be found itself. Paths are relative, with `/`."""
    name = basename(path)
    return name in TABLES or name.endswith(BESIDE)


def metadata_of(listing: Mapping[str, bytes]) -> Mapping[str, Mapping[str, Attribute]]:
    """From relative paths of sidecars to what is in them, to relative paths of files. Raises SidecarError."""
    told: dict[str, dict[str, Attribute]] = {}
    for path in sorted((path for path in listing if is_sidecar(path)), key=_nearness):
        for file, attributes in _told_by(path, listing[path]):
            known = told.setdefault(file, {})
            known.update(attributes)
            if len(known) > MOST_ATTRIBUTES:
                raise SidecarError(path, None, f"{file} has more than {MOST_ATTRIBUTES} attributes; leave some out")
    return told


def _nearness(path: str) -> tuple[bool, int, str]:
    """Tables from the top down, then what lies beside one file."""
    return basename(path) not in TABLES, path.count("/"), path


def _told_by(path: str, content: bytes) -> Iterator[tuple[str, dict[str, Attribute]]]:
    if len(content) > MOST_BYTES or not (is_text(content) or not content):
        raise SidecarError(path, None, f"this is no text of at most {MOST_BYTES // 1_000_000} MB")
    folder = path.rpartition("/")[0]
    text = decoded(content)
    if path.endswith(".csv"):
        yield from _rows(path, folder, text)
        return
    value = _json(path, text)
    if path.endswith(BESIDE):
        yield path.removesuffix(BESIDE), _attributes(path, None, value)
        return
    for file, attributes in value.items():
        if not isinstance(attributes, dict):
            raise SidecarError(path, None, f'of {file!r} it tells no attributes; write {{"{file}": {{"author": …}}}}')
        yield _below(path, None, folder, file), _attributes(path, None, attributes)


def _json(path: str, text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SidecarError(path, error.lineno, f"this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise SidecarError(path, None, "it is nested too deeply") from error
    if not isinstance(value, dict):
        raise SidecarError(path, None, "it must be an object, { … }")
    return value


def _rows(path: str, folder: str, text: str) -> Iterator[tuple[str, dict[str, Attribute]]]:
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if header is None:
                header = [cell.strip() for cell in row]
                _check_header(path, header)
            elif any(cell.strip() for cell in row):
                if len(row) > len(header):
                    raise SidecarError(path, line, f"it has {len(row)} cells, and there are {len(header)} columns")
                told = {
                    key: _typed(cell.strip()) for key, cell in zip(header[1:], row[1:], strict=False) if cell.strip()
                }
                yield _below(path, line, folder, row[0].strip()), _attributes(path, line, told)
            line = reader.line_num + 1
    except csv.Error as error:
        raise SidecarError(path, line, f"this is not CSV: {error}") from error
    if header is None:
        raise SidecarError(path, 1, 'it is empty; its first line must be the names of columns, the first "file"')


def _check_header(path: str, header: list[str]) -> None:
    if not header or header[0].lower() != "file":
        raise SidecarError(path, 1, f'the first column must be named "file", not {(header or [""])[0]!r}')
    if len(set(header)) != len(header) or not all(header):
        raise SidecarError(path, 1, "every column needs a name of its own")


def _below(path: str, line: int | None, folder: str, file: str) -> str:
    """Never outside of the folder that the sidecar lies in."""
    parts = file.replace("\\", "/").split("/")
    if not file or file.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise SidecarError(path, line, f"{file!r} is no path below this folder; write it as in `minutes/march.docx`")
    clean = "/".join(part for part in parts if part not in ("", "."))
    return f"{folder}/{clean}" if folder else clean


def _attributes(path: str, line: int | None, told: Mapping[str, object]) -> dict[str, Attribute]:
    if len(told) > MOST_ATTRIBUTES:
        raise SidecarError(path, line, f"it tells {len(told)} attributes of a file; at most {MOST_ATTRIBUTES} are kept")
    attributes: dict[str, Attribute] = {}
    for key, value in told.items():
        if not 0 < len(key) <= LONGEST_KEY:
            raise SidecarError(path, line, f"the name of an attribute has 1 to {LONGEST_KEY} characters: {key[:80]!r}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise SidecarError(path, line, f"{key} is no number")
            attributes[key] = float(value)
        elif isinstance(value, str | bool):
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                raise SidecarError(path, line, f"{key} is longer than {LONGEST_TEXT} characters")
            attributes[key] = value
        elif value is not None:
            raise SidecarError(path, line, f"{key} must be text, a number, true or false")
    return attributes


def _typed(cell: str) -> Attribute:
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    return float(cell) if _NUMBER.fullmatch(cell) else cell
