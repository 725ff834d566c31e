"""What library.db and the store of vectors say of each other, when one of them may have been changed without the other:
after a crash, or where one was brought back from a copy."""

from msgspec.structs import replace

from rag.library.rows import FileRow, StoreRow
from rag.library.shelves import Shelves
from rag.values import Version


async def mend(shelves: Shelves) -> int:
    """How many things were mended. Nobody may read files meanwhile; all else goes on. Raises StoreError,
    sqlite3.Error."""
    catalogue, mended = shelves.catalogue, 0
    await shelves.finish_leaving()
    stores = await shelves.ask(catalogue.stores)
    for tenant in {store.tenant for store in stores}:
        mended += await _drop_strangers(shelves, tenant, {store.store_id for store in stores})
    for store in stores:
        async with shelves.changing(store.store_id):
            if await shelves.ask(catalogue.store, store.store_id) is not None:
                mended += await _mend_store(shelves, store)
    return mended


async def _drop_strangers(shelves: Shelves, tenant: str, known: set[str]) -> int:
    """Spaces of stores that nobody knows."""
    found = [space.space_id for space in await shelves.store.spaces(tenant)]
    strangers = [one for one in found if one.name.startswith("vs_") and one.name not in known]
    for one in strangers:
        await shelves.store.drop_space(one)
    return len(strangers)


async def _mend_store(shelves: Shelves, store: StoreRow) -> int:
    catalogue = shelves.catalogue
    there = await shelves.space(store) is not None
    versions = {one.document.name: one for one in await shelves.store.documents(store.space_id)} if there else {}
    rows = {row.document: row for row in await shelves.ask(catalogue.files, store.store_id)}
    orphans = [version for name, version in versions.items() if name not in rows]
    for version in orphans:
        await shelves.store.remove(store.space_id, version.document_id)
    now = [mended(row, versions.get(row.document)) for row in rows.values()]
    changed = [row for row in now if row != rows[row.document]]
    await shelves.ask(catalogue.save_files, changed)
    for row in now:
        newest = versions.get(row.document)
        if newest is not None and dict(newest.document.attributes) != row.facts:
            await shelves.store.describe(store.space_id, newest.document_id, row.facts)
    return len(orphans) + len(changed)


def mended(row: FileRow, newest: Version | None) -> FileRow:
    """As the store has it: a version that is there counts, one that is not must be read again. What the file itself was
    not to blame for is tried again."""
    if row.status == "failed" and row.problem_code == "server_error":
        row = replace(row, status="in_progress", tries=0, next_s=0.0)
    if newest is None:
        if not row.version:
            return row
        again = row.status if row.status == "cancelled" else "in_progress"
        return replace(row, status=again, version=0, chunks=0, size_bytes=0, content_hash=None, next_s=0.0)
    told = newest.document
    if (row.version, row.content_hash) == (newest.number, told.content_hash):
        return row
    return replace(
        row, version=newest.number, chunks=newest.chunks, content_hash=told.content_hash, title=told.title,
        size_bytes=max(row.size_bytes, told.size_bytes), own=_own(row, newest),
    )  # fmt: skip


def _own(row: FileRow, newest: Version) -> dict[str, str | float | bool]:
    return {key: value for key, value in newest.document.attributes.items() if key not in row.attributes}
