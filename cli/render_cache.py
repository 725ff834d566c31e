"""What a gateway has kept of answers, as a table and as JSON."""

from collections.abc import Sequence

from cli.table import mib_or_gib, table
from router.cache_store import Kept


def cache_table(kept: Sequence[Kept]) -> str:
    """The largest first, their totals below."""
    rows = [(one.kind, one.tenant, one.model, f"{one.entries:,}", mib_or_gib(one.bytes)) for one in kept]
    total = ("total", "", "", f"{sum(one.entries for one in kept):,}", mib_or_gib(sum(one.bytes for one in kept)))
    return table(("KIND", "TENANT", "MODEL", "ENTRIES", "SIZE"), [*rows, total])


def cache_document(kept: Sequence[Kept]) -> dict[str, object]:
    return {
        "rows": [one._asdict() for one in kept],
        "total": {"entries": sum(one.entries for one in kept), "bytes": sum(one.bytes for one in kept)},
    }
