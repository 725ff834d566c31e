"""Keys as people call them, by the ids that grants are kept by. Pure."""

from collections.abc import Iterable, Sequence

from cluster.key_order import OWNER
from cluster.snapshot import KeyRecord


def ids_of(names: Iterable[str], tenant: str, keys: Sequence[KeyRecord]) -> list[str]:
    """Of this tenant's keys, by their names or ids, of the owner's tenant all there are; of one that was rotated its
    first, so that what it is granted stays its own. What is neither stays as it is."""
    lines = {record.key_id: record.line or record.key_id for record in keys}
    theirs = [record for record in keys if tenant in (record.tenant, OWNER)]
    known = {record.name: lines[record.key_id] for record in theirs if record.name}
    return [lines.get(name, known.get(name, name)) for name in names]


def grants_of(told: Iterable[str], tenant: str, keys: Sequence[KeyRecord]) -> tuple[str, ...]:
    return tuple(
        f"key:{ids_of([grant.removeprefix('key:')], tenant, keys)[0]}" if grant.startswith("key:") else grant
        for grant in told
    )
