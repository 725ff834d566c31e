"""Plain tables for terminals and pipes: no value is ever cut short, and markup in values is never interpreted.

Where a terminal is too narrow, columns that say least are left out and sentences go on below themselves. A pipe gets
everything, a line for each row.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from math import ceil

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GIB = 2**30
GAP = 2  # between columns
SENTENCE = 24  # characters that a sentence gets at least, where it goes on below itself


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: int | None = None,
    drop: Sequence[str] = (),
    wrap: Sequence[str] = (),
) -> str:
    """`columns` are those of the terminal; None: there is no limit. `drop` has headers that may be left out, the one
    that says least first; `wrap` those of sentences."""
    cells = [[printable(cell) for cell in row] for row in rows]
    least = [_least(header, column, header in wrap) for header, column in _columns(headers, cells)]
    kept = _kept(headers, least, columns, drop)
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=any(headers))
    for place in kept:
        grid.add_column(Text(headers[place]), no_wrap=headers[place] not in wrap, overflow="fold")
    for row in cells:
        grid.add_row(*(Text(row[place]) for place in kept))
    full = sum(max(cell_len(text) for text in (headers[place], *(row[place] for row in cells))) + GAP for place in kept)
    width = full if columns is None else max(columns, _needed(least, kept))
    buffer = StringIO()
    Console(file=buffer, width=max(1, width), color_system=None, highlight=False).print(grid)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def _columns(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> list[tuple[str, list[str]]]:
    return [(header, [row[place] for row in cells]) for place, header in enumerate(headers)]


def _least(header: str, column: Sequence[str], sentences: bool) -> int:
    """How narrow a column may be."""
    widest = max(map(cell_len, (header, *column)))
    return min(widest, SENTENCE) if sentences else widest


def _needed(least: Sequence[int], kept: Sequence[int]) -> int:
    return sum(least[place] + GAP for place in kept) - GAP


def _kept(headers: Sequence[str], least: Sequence[int], columns: int | None, drop: Sequence[str]) -> list[int]:
    """Places of the columns that are shown: all of them where no terminal limits it."""
    kept = list(range(len(headers)))
    for header in drop:
        if columns is None or _needed(least, kept) <= columns:
            break
        kept = [place for place in kept if headers[place] != header]
    return kept


def printable(text: str) -> str:
    """Text from a model file or a log, with control characters shown instead of sent to the terminal."""
    return "".join(char if char.isprintable() or char == " " else repr(char)[1:-1] for char in text)


def gib(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / GIB:.1f}"


def mib_or_gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB else f"{size_bytes / 2**20:.1f} MiB"


def kib_and_up(size_bytes: int) -> str:
    """Of what is often smaller than a model."""
    return f"{ceil(size_bytes / 1024)} KiB" if size_bytes < 2**20 else mib_or_gib(size_bytes)


def instant(wall_s: float) -> str:
    """To the second, UTC, as ISO 8601 writes it."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """1.5 -> "2 s", 90 -> "2 min", 7200 -> "2 h": one unit, rounded, for people."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"
