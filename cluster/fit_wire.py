"""A FitReport as a document: what the API answers, `--json` prints and the dashboard draws. Pure."""

from dataclasses import dataclass

from cluster.fit import Need, Workload
from cluster.fit_fleet import FitReport, FitRow


@dataclass(frozen=True, slots=True)
class ItemDocument:
    term: str
    bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    what: str
    context_tokens: int
    users: int
    kv_bits: int
    need_bytes: int


@dataclass(frozen=True, slots=True)
class RowDocument:
    """`evicted` names engines; `most_users` could be served at this context if nothing else ran there."""

    node: str
    engine: str
    quantisation: str
    machine: str
    shape_from: str
    answer: str
    why: str
    need_bytes: int
    items: tuple[ItemDocument, ...]
    budget_bytes: int
    free_bytes: int
    short_bytes: int
    evicted: tuple[str, ...]
    changes: tuple[ChangeDocument, ...]
    most_users: int


@dataclass(frozen=True, slots=True)
class FitDocument:
    model: str
    context_tokens: int
    users: int
    kv_bits: int
    fits: bool
    rows: tuple[RowDocument, ...]


def document_of(report: FitReport) -> FitDocument:
    query = report.query
    rows = tuple(_row(row) for row in report.rows)
    return FitDocument(query.model, query.context_tokens, query.users, query.kv_bits, report.fits, rows)


def _row(row: FitRow) -> RowDocument:
    verdict = row.verdict
    return RowDocument(
        node=row.node,
        engine=row.kind,
        quantisation=row.quantisation,
        machine=row.machine,
        shape_from=row.origin,
        answer=verdict.answer,
        why=verdict.why,
        need_bytes=verdict.need.total_bytes,
        items=tuple(ItemDocument(item.term, item.size_bytes, item.how) for item in verdict.need.items),
        budget_bytes=verdict.room.budget_bytes,
        free_bytes=verdict.room.free_bytes,
        short_bytes=verdict.short_bytes,
        evicted=tuple(one.engine_id for one in verdict.evicted),
        changes=tuple(_change(change.what, change.workload, change.need) for change in verdict.changes),
        most_users=row.most_users,
    )


def _change(what: str, workload: Workload, need: Need) -> ChangeDocument:
    return ChangeDocument(what, workload.context_tokens, workload.slots, workload.kv_bits, need.total_bytes)
