"""Reports of sealed mode, as text and as JSON."""

from datetime import UTC, datetime

import msgspec

from cli.output import terminal_columns
from cli.table import instant, table
from cluster.sealed_report import Report, Row, SignedReport, Verdict

TITLES: tuple[tuple[Verdict, str], ...] = (
    ("passed", "PASSED THE GUARD: connections outside the cluster that were seen"),
    ("refused", "Refused"),
    ("contacted", "Contacted, inside the cluster"),
    ("guarded", "Processes that were guarded"),
)


def report_text(report: Report, *, is_verified: bool) -> str:
    span = f"{instant(report.from_ms / 1000)} to {instant(report.to_ms / 1000)}"
    state = "sealed" if report.sealed else "not sealed at this moment"
    parts = [f"{report.node} of {report.cluster}, {span}: {state}"]
    if is_verified:
        parts.append(f"its signature holds: key {report.public_key}")
    for verdict, title in TITLES:
        rows = report.of(verdict)
        parts.append(f"\n{title}: {sum(row.count for row in rows):,}")
        if rows:
            parts.append(_rows(rows))
    if report.unreadable_lines:
        parts.append(f"\n{report.unreadable_lines} lines of the journal cannot be read")
    parts.append("\nWhat it cannot know:")
    parts += [f"- {limit}" for limit in report.limits]
    if not is_verified:
        parts.append(f"signed by {report.public_key}; --out FILE keeps it with its signature")
    return "\n".join(parts)


def _rows(rows: tuple[Row, ...]) -> str:
    cells = [
        (f"{row.count:,}", row.what, row.peer or "-", row.process, _when(row.last_ms), " < ".join(row.modules) or "-")
        for row in rows
    ]
    headers = ("TIMES", "WHAT", "PEER", "PROCESS", "LAST", "MODULES")
    return table(headers, cells, terminal_columns(), ("LAST",), ("MODULES",))


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def report_document(report: Report, signed: SignedReport | None) -> dict[str, object]:
    """With the signature, where it was made just now: then `signed` is what `--out` writes."""
    return {
        "report": msgspec.to_builtins(report),
        **({"signed": msgspec.to_builtins(signed)} if signed is not None else {}),
    }
