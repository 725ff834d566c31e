"""Batches of a gateway, as a table and as JSON."""

from collections.abc import Sequence
from functools import partial

from cli.output import Listing, View
from cli.table import instant, table
from router.batches.values import BatchRow, Counts

DROPPED = ("CREATED", "TENANT", "ENDPOINT", "KEY", "USER", "EXPIRES")  # in a terminal that is too narrow


def batches_listing(found: Sequence[tuple[BatchRow, Counts]]) -> Listing:
    """The youngest first."""
    names = [batch.batch_id for batch, _ in found]
    return Listing("Batches", lambda: _documents(found), names, partial(_batches_table, found))


def _batches_table(found: Sequence[tuple[BatchRow, Counts]], view: View) -> str:
    rows = [
        (
            batch.batch_id, batch.status, batch.owner.tenant, batch.owner.key_id, batch.endpoint,
            f"{counts.completed:,}", f"{counts.failed:,}", f"{counts.total:,}", instant(batch.times["validating"]),
            *((instant(batch.expires_s), batch.owner.user or "-", batch.output_file or "-") if view.wide else ()),
        )
        for batch, counts in found
    ]  # fmt: skip
    headers = ("BATCH", "STATUS", "TENANT", "KEY", "ENDPOINT", "DONE", "FAILED", "LINES", "CREATED")
    return table((*headers, *(("EXPIRES", "USER", "OUTPUT") if view.wide else ())), rows, view.columns, DROPPED)


def _documents(found: Sequence[tuple[BatchRow, Counts]]) -> dict[str, object]:
    return {"rows": [_document(batch, counts) for batch, counts in found]}


def _document(batch: BatchRow, counts: Counts) -> dict[str, object]:
    return {
        "id": batch.batch_id,
        "status": batch.status,
        **batch.owner._asdict(),
        "endpoint": batch.endpoint,
        **counts._asdict(),
        "times": {name: instant(at_s) for name, at_s in batch.times.items()},
    }
