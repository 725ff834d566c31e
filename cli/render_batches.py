"""Batches of a gateway, as a table and as JSON."""

from collections.abc import Sequence

from cli.table import instant, table
from router.batches.values import BatchRow, Counts


def batches_table(found: Sequence[tuple[BatchRow, Counts]]) -> str:
    """The youngest first."""
    rows = [
        (
            batch.batch_id, batch.status, batch.owner.tenant, batch.owner.key_id, batch.endpoint,
            f"{counts.completed:,}", f"{counts.failed:,}", f"{counts.total:,}", instant(batch.times["validating"]),
        )
        for batch, counts in found
    ]  # fmt: skip
    return table(("BATCH", "STATUS", "TENANT", "KEY", "ENDPOINT", "DONE", "FAILED", "LINES", "CREATED"), rows)


def batches_document(found: Sequence[tuple[BatchRow, Counts]]) -> dict[str, object]:
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
