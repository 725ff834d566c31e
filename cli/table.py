"""Plain tables for terminals and pipes: names are never cut short, markup in values is never interpreted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

GIB = 2**30
UNLIMITED_WIDTH = 1000  # a value that does not fit a terminal wraps there; cutting it would make it useless


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        grid.add_column(header, no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    buffer = StringIO()
    Console(file=buffer, width=UNLIMITED_WIDTH, color_system=None, highlight=False).print(grid)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def printable(text: str) -> str:
    """Text from a model file or a log, with control characters shown instead of sent to the terminal."""
    return "".join(char if char.isprintable() or char == " " else repr(char)[1:-1] for char in text)


def gib(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / GIB:.1f}"


def mib_or_gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB else f"{size_bytes / 2**20:.1f} MiB"


def instant(wall_s: float) -> str:
    """To the second, UTC, as ISO 8601 writes it."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """1.5 -> "2 s", 90 -> "2 min", 7200 -> "2 h": one unit, rounded, for people."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"
