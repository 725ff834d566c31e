"""Versions of a store's files: which there are, what changed between two, and which are kept no longer."""

from collections.abc import Sequence

from cluster.knowledge import Difference, FileVersion, History, KnowledgeError
from rag.comparing import compared
from rag.library import troubles
from rag.library.rows import FileRow, StoreRow
from rag.library.shelves import Shelves
from rag.values import Chunk, Version, document_id_of


class Histories:
    """Methods may raise StoreError, sqlite3.Error."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    async def versions(self, store: StoreRow, row: FileRow) -> tuple[Version, ...]:
        """The oldest first. Raises KnowledgeError."""
        if not row.version:
            raise troubles.not_read(row)
        return await self._shelves.store.versions(store.space_id, document_id_of(store.space_id, row.document))

    async def version(self, store: StoreRow, row: FileRow, number: int | None) -> Version:
        """None: the newest that can be found. Raises KnowledgeError."""
        known = await self.versions(store, row)
        wanted = next((one for one in known if one.number == (row.version if number is None else number)), None)
        if wanted is None:
            raise troubles.no_version(row, number, [one.number for one in known])
        return wanted

    async def chunks(self, version: Version) -> tuple[Chunk, ...]:
        return await self._shelves.store.chunks(version, 0, version.chunks)

    async def difference(self, store: StoreRow, row: FileRow, old: int | None, new: int | None) -> Difference:
        """None as `old`: the one before the other; as `new`: the newest. Raises KnowledgeError."""
        after = await self.version(store, row, new)
        if old is None:
            earlier = [one.number for one in await self.versions(store, row) if one.number < after.number]
            if not earlier:
                raise _nothing_before(row, after)
            old = earlier[-1]
        before = await self.version(store, row, old)
        sides = (before.number, await self.chunks(before)), (after.number, await self.chunks(after))
        found = compared(row.name, *sides)
        return Difference(row.name, shown(before), shown(after), found.text, found.added, found.removed)

    async def trim(self, now_s: float) -> int:
        """Of every store that does not keep everything: how many versions went."""
        gone = 0
        for store in await self._shelves.ask(self._shelves.catalogue.stores):
            if store.history != History() and await self._shelves.space(store) is not None:
                gone += await self._trim(store, now_s)
        return gone

    async def _trim(self, store: StoreRow, now_s: float) -> int:
        gone = 0
        for row in await self._shelves.ask(self._shelves.catalogue.files, store.store_id):
            if row.version > 1:
                gone += await self._shelves.trim(row, lambda known: past(known, store.history, now_s))
        return gone


def past(versions: Sequence[Version], kept: History, now_s: float) -> tuple[int, ...]:
    """Numbers of those that are kept no longer. Pure."""
    ended = [one for one in versions if one.ended_s is not None]
    room = len(ended) if kept.versions is None else max(0, kept.versions - (len(versions) - len(ended)))
    many = {one.number for one in ended[: len(ended) - min(room, len(ended))]}
    since_s = float("-inf") if kept.for_s is None else now_s - kept.for_s
    old = {one.number for one in ended if one.ended_s is not None and one.ended_s < since_s}
    return tuple(sorted(many | old))


def shown(version: Version) -> FileVersion:
    told = version.document
    return FileVersion(
        version.number, version.made_s, version.ended_s, told.title, version.chunks, told.size_bytes, told.attributes
    )  # fmt: skip


def _nothing_before(row: FileRow, version: Version) -> KnowledgeError:
    return KnowledgeError(
        "not_found",
        "version_not_found",
        f"{row.name} has no version before {version.number} to compare it with",
        "from",
    )
