"""Usage as a table, as CSV and as JSON."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

import msgspec

from cli.table import instant, printable, table
from router.usage_query import UsageQuery, UsageRow, total_of
from router.usage_rollup import HOUR_S, SUM_COLUMNS, Sums

HEADERS = (
    *("REQUESTS", "REFUSED", "FAILED", "CANCELLED", "INEXACT"),
    *("IN", "CACHED", "OUT", "REASONING", "GIVEN AGAIN", "SECONDS"),
)
LEAST_TELLING = ("INEXACT", "REASONING", "GIVEN AGAIN", "CANCELLED", "CACHED", "SECONDS", "FAILED", "REFUSED")
FORMULA = ("=", "+", "-", "@")  # begin what a spreadsheet would compute instead of show


@dataclass(frozen=True, slots=True)
class UsageTable:
    query: UsageQuery
    rows: Sequence[UsageRow]
    key_names: Mapping[str, str]

    def columns(self) -> tuple[str, ...]:
        """A key has two: its name, as far as it is known, and its id."""
        return tuple(name for one in self.query.by for name in (("key", "key_id") if one == "key" else (one,)))

    def cells(self, row: UsageRow) -> tuple[str, ...]:
        cells: list[str] = []
        for dimension, value in zip(self.query.by, row.of, strict=True):
            cells += [self.key_names.get(value, ""), value] if dimension == "key" else [value]
        return tuple(cells)


def usage_table(shown: UsageTable, terminal: int | None = None) -> str:
    """For people: counts with separators, right-aligned, and their totals below."""
    columns = shown.columns()
    named = [tuple(cell or "-" for cell in shown.cells(row)) for row in shown.rows]
    named.append(("total", *[""] * (len(columns) - 1)))
    counts = [HEADERS, *(_counts(row.sums) for row in shown.rows), _counts(total_of(shown.rows))]
    widths = [max(map(len, column)) for column in zip(*counts, strict=True)]
    first, *others = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in counts]
    headers = (*(name.upper().replace("_", " ") for name in columns), *first)
    drop = [header for header in headers if header.strip() in LEAST_TELLING]
    return table(headers, [(*names, *numbers) for names, numbers in zip(named, others, strict=True)], terminal, drop)


def usage_csv(shown: UsageTable) -> str:
    """For spreadsheets: plain numbers, ISO times, and no name that would be taken for a formula."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*shown.columns(), *SUM_COLUMNS))
    for row in shown.rows:
        *counts, seconds = msgspec.structs.astuple(row.sums)
        writer.writerow((*map(_safe, shown.cells(row)), *counts, f"{seconds:.3f}"))
    return text.getvalue().removesuffix("\n")


def usage_document(shown: UsageTable) -> dict[str, object]:
    """What is not known of a row (a name, a user, a machine) is null."""
    columns = shown.columns()
    rows = [
        {**{name: cell or None for name, cell in zip(columns, shown.cells(row), strict=True)}, **_fields(row.sums)}
        for row in shown.rows
    ]
    begin, end = _span(shown.query)
    total = _fields(total_of(shown.rows))
    return {"since": begin, "until": end, "by": list(shown.query.by), "rows": rows, "total": total}


def usage_remarks(shown: UsageTable, *, names_known: bool) -> list[str]:
    """What whoever reads the figures has to know, beside them."""
    begin, end = _span(shown.query)
    remarks = [f"from {begin} to {end}"]
    if inexact := total_of(shown.rows).inexact:
        remarks.append(f"{inexact:,} requests broke off before their engine had counted: their tokens are estimates")
    if not names_known and "key" in shown.query.by:
        remarks.append("no head answers here: keys are shown by their ids only")
    return remarks


def _span(query: UsageQuery) -> tuple[str, str]:
    return instant(query.since_s // HOUR_S * HOUR_S), instant(query.until_s)


def _counts(sums: Sums) -> tuple[str, ...]:
    return tuple(f"{count:,.0f}" for count in msgspec.structs.astuple(sums))


def _fields(sums: Sums) -> dict[str, object]:
    return {**msgspec.structs.asdict(sums), "seconds": round(sums.seconds, 3)}


def _safe(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
