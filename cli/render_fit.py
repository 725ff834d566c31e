"""What fits where, as text."""

from collections.abc import Sequence

from cli.table import mib_or_gib, table
from cluster.capacity import EngineRoom
from cluster.fit_fleet import FitReport, FitRow
from cluster.fit_frontier import Frontier, FrontierDocument


def fit_text(report: FitReport, columns: int | None = None) -> str:
    """The sum of the first machine's way in full, then a line for each machine and engine."""
    query = report.query
    asked = f"{query.model}: {query.users} x {query.context_tokens:,} tokens"
    if not report.rows:
        return f"{asked}: no machine of this cluster has an engine for it"
    shown = _ways(report.rows)
    parts = [asked, *(_sum(row, columns) for row in shown), _rows(report.rows, columns)]
    return "\n\n".join(parts)


def frontier_text(document: FrontierDocument) -> str:
    """A table for each machine and engine: with nothing else there, and beside what is there now."""
    if not document.rows:
        return f"{document.model}: no machine of this cluster has an engine for it"
    return "\n\n".join(_frontier(row, document.users) for row in document.rows)


def _frontier(row: Frontier, users: int) -> str:
    free = f"{mib_or_gib(row.free_bytes)} free of {mib_or_gib(row.budget_bytes)}"
    head = f"{row.node}, {row.engine} as {row.quantisation}: {free}"
    longest = f"{users} at once: up to {row.context_alone:,} tokens alone, {row.context_beside:,} beside what runs"
    points = [
        (f"{point.context_tokens:,}", f"{point.users_alone:,}", f"{point.users_beside:,}") for point in row.points
    ]
    return "\n".join([head, longest, table(("CONTEXT", "MOST USERS ALONE", "BESIDE WHAT RUNS"), points)])


def capacity_text(reports: Sequence[FitReport], context_tokens: int, users: int, columns: int | None = None) -> str:
    rows = [
        (
            report.query.model,
            best.node,
            best.kind,
            best.quantisation,
            best.verdict.answer,
            mib_or_gib(best.verdict.need.total_bytes),
            f"{best.most_users:,}",
        )
        for report in reports
        for best in report.rows[:1]
    ]
    head = f"{users} at once, each with {context_tokens:,} tokens; MOST is how many the machine could serve alone"
    return (
        head
        + "\n"
        + table(("MODEL", "NODE", "ENGINE", "QUANT", "ANSWER", "NEEDS", "MOST"), rows, columns, ("QUANT", "ENGINE"))
    )


def rooms_text(rooms: Sequence[EngineRoom], columns: int | None = None) -> str:
    headers = ("MODEL", "NODE", "ENGINE", "CONTEXT", "USERS FREE", "TOKENS FREE")
    rows = [
        (
            room.model,
            room.node,
            room.engine_id,
            f"{room.context_tokens:,}",
            _share(room.users_free, room.users),
            _share(room.tokens_free, room.tokens),
        )
        for room in rooms
    ]
    return "engines that run can still take\n" + table(headers, rows, columns, ("ENGINE", "CONTEXT"))


def _share(free: int | None, whole: int | None) -> str:
    counts = ["?" if count is None else f"{count:,}" for count in (free, whole)]
    return " of ".join(counts)


def _ways(rows: Sequence[FitRow]) -> list[FitRow]:
    """One for each engine kind: what a model needs differs between engines, not between machines."""
    seen: dict[tuple[str, str], FitRow] = {}
    for row in rows:
        seen.setdefault((row.kind, row.quantisation), row)
    return list(seen.values())


def _sum(row: FitRow, columns: int | None) -> str:
    need = row.verdict.need
    lines = [(item.term, mib_or_gib(item.size_bytes), item.how) for item in need.items]
    head = f"under {row.kind} as {row.quantisation}, by {row.origin}: {mib_or_gib(need.total_bytes)}"
    return head + "\n" + table(("ITEM", "BYTES", "HOW"), lines, columns, wrap=("HOW",))


def _rows(rows: Sequence[FitRow], columns: int | None) -> str:
    return table(("NODE", "ENGINE", "ANSWER", "BUDGET", "MOST USERS", "WHY"), [
        (
            row.node,
            row.kind,
            row.verdict.answer,
            mib_or_gib(row.verdict.room.budget_bytes),
            f"{row.most_users:,}",
            row.verdict.why + ("" if row.machine == "reports itself" else f" ({row.machine})"),
        )
        for row in rows
    ], columns, ("BUDGET",), ("WHY",))  # fmt: skip
