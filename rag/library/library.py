"""People's documents, as the gateway asks for them (router.server_tools.Knowledge)."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from cluster.grants import checked, maker, may_read, may_see, tenants_of
from cluster.knowledge import (
    NEVER,
    Ask,
    Attribute,
    Counts,
    Difference,
    FileVersion,
    Folder,
    Found,
    KnowledgeError,
    NewFile,
    NewStore,
    Reader,
    Store,
    StoreChange,
    StoreFile,
)
from inventory.clock import Clock
from rag.library import troubles
from rag.library.encoders import Encoders
from rag.library.folder_desk import FolderDesk
from rag.library.histories import Histories, shown
from rag.library.places import Places
from rag.library.questions import Questions
from rag.library.rights import Right, refuse
from rag.library.rows import FileRow, StoreRow, counted
from rag.library.shelves import Shelves
from rag.library.usual import UsualStores, with_grants

USED_EVERY_S = 60.0  # how exactly it is remembered when a store was used last


class Library:
    """Implements router.server_tools.Knowledge. `wake` tells the one who reads files that there are some; `protected`
    is no place to read files from."""

    def __init__(
        self,
        shelves: Shelves,
        encoders: Encoders,
        clock: Clock,
        wake: Callable[[], None],
        protected: Path,
        places: Places,
    ) -> None:
        self._shelves, self._encoders, self._clock, self._wake = shelves, encoders, clock, wake
        self._catalogue = shelves.catalogue
        self._places = places
        self._questions = Questions(shelves, encoders, places)
        self._histories = Histories(shelves)
        self._folders = FolderDesk(shelves, wake, protected)
        self._usual = UsualStores(self._catalogue, clock.wall_s())

    # Stores

    @troubles.told
    async def create_store(self, reader: Reader, wanted: NewStore) -> Store:
        models = self._encoders.models(reader)
        encoder = wanted.encoder or next(iter(models), None)
        if encoder is None or (wanted.encoder is not None and encoder not in models):
            raise troubles.no_encoder(wanted.encoder, models)
        data_class = wanted.data_class or reader.data_class
        self._places.check(frozenset({data_class}))
        now_s = self._clock.wall_s()
        row = StoreRow(
            f"vs_{secrets.token_hex(16)}", reader.tenant, wanted.name, wanted.description, dict(wanted.metadata),
            encoder, now_s, now_s, wanted.expires_after_days, reader, data_class,
            checked((maker(reader), *wanted.owners), "owners"), checked(wanted.readers, "readers"), wanted.licence,
            wanted.history, wanted.pii,
        )  # fmt: skip
        await self._shelves.ask(self._catalogue.add_store, row)
        return row.shown(Counts(), 0)

    @troubles.told
    async def stores(self, reader: Reader) -> tuple[Store, ...]:
        every = await self._shelves.ask(self._catalogue.stores, tenants_of(reader))
        rows = [row for row in every if may_see(reader, row)]
        now_s = self._clock.wall_s()
        return await self._all_shown([row for row in rows if not row.expired(now_s)])

    @troubles.told
    async def store(self, reader: Reader, store_id: str) -> Store:
        return await self._shown(await self._row(reader, store_id, "see"))

    @troubles.told
    async def change_store(self, reader: Reader, store_id: str, change: StoreChange) -> Store:
        await self._row(reader, store_id, "share" if change.of_access else "change")
        owners = None if change.owners is None else checked(change.owners, "owners")
        readers = None if change.readers is None else checked(change.readers, "readers")
        if owners == ():
            raise KnowledgeError("invalid", "no_owner", "somebody has to own it: name its next owner first", "owners")
        if change.data_class is not None:
            self._places.check(frozenset({change.data_class}))
        now_s = self._clock.wall_s()

        def changed(row: StoreRow) -> StoreRow:
            return replace(
                row,
                data_class=change.data_class or row.data_class,
                owners=row.owners if owners is None else owners,
                readers=row.readers if readers is None else readers,
                licence=row.licence if change.licence is None else change.licence,
                pii=row.pii if change.pii is None else change.pii,
                name=row.name if change.name is None else change.name,
                description=row.description if change.description is None else change.description,
                metadata=row.metadata if change.metadata is None else dict(change.metadata),
                expires_after_days=_days(row, change.expires_after_days),
                history=row.history if change.history is None else change.history,
                used_s=now_s,
            )

        row = await self._shelves.ask(self._catalogue.change_store, store_id, changed)
        if row is None:
            raise troubles.no_store(store_id)
        self._usual.note(row)
        return await self._shown(row)

    @troubles.told
    async def drop_store(self, reader: Reader, store_id: str) -> None:
        row = await self._row(reader, store_id, "share")
        self._usual.forget(store_id)
        await self._shelves.drop_store(row)

    async def drop_expired(self) -> None:
        """Stores that nobody used for so long as was said, and versions that are kept no longer. May raise StoreError,
        sqlite3.Error."""
        now_s = self._clock.wall_s()
        await self._histories.trim(now_s)
        for row in await self._shelves.ask(self._catalogue.stores):
            if row.expired(now_s):
                self._usual.forget(row.store_id)
                await self._shelves.drop_store(row)

    # Files

    @troubles.told
    async def add_files(
        self, reader: Reader, store_id: str, files: Sequence[NewFile], batch_id: str | None = None
    ) -> tuple[StoreFile, ...]:
        store = await self._row(reader, store_id, "change")
        await self._used(store)
        now_s = self._clock.wall_s()

        def rows() -> list[FileRow]:
            return [
                _wanted(store, self._catalogue.file(store_id, new.file_id), new, (reader, batch_id, now_s))
                for new in {new.file_id: new for new in files}.values()
            ]

        remembered = await self._shelves.remember(store_id, rows)
        self._wake()
        shown = {row.file_id: row.shown() for row in remembered}
        return tuple(shown[new.file_id] for new in files)

    @troubles.told
    async def files(self, reader: Reader, store_id: str) -> tuple[StoreFile, ...]:
        await self._row(reader, store_id)
        return tuple(row.shown() for row in await self._shelves.ask(self._catalogue.files, store_id))

    @troubles.told
    async def file(self, reader: Reader, store_id: str, file_id: str) -> StoreFile:
        return (await self._file(reader, store_id, file_id)).shown()

    @troubles.told
    async def read_again(self, reader: Reader, store_id: str, file_id: str) -> StoreFile:
        known = await self._file(reader, store_id, file_id, "change")
        now_s = self._clock.wall_s()

        def rows() -> list[FileRow]:
            row = self._catalogue.file(store_id, file_id)
            return [] if row is None else [_anew(row, reader, now_s)]

        remembered = await self._shelves.remember(store_id, rows)
        if not remembered:
            raise troubles.no_file(store_id, known.file_id)
        self._wake()
        return remembered[0].shown()

    @troubles.told
    async def change_file(
        self, reader: Reader, store_id: str, file_id: str, attributes: dict[str, Attribute]
    ) -> StoreFile:
        await self._file(reader, store_id, file_id, "change")

        def described(row: FileRow) -> FileRow:
            return replace(row, attributes=dict(attributes), beside={})

        changed = await self._shelves.describe(store_id, file_id, described)
        if changed is None:
            raise troubles.no_file(store_id, file_id)
        return changed.shown()

    @troubles.told
    async def drop_file(self, reader: Reader, store_id: str, file_id: str) -> None:
        await self._shelves.remove_file(await self._file(reader, store_id, file_id, "change"))

    @troubles.told
    async def forget_file(self, reader: Reader, file_id: str) -> None:
        for row in await self._shelves.ask(self._catalogue.everywhere, tenants_of(reader), file_id):
            await self._shelves.remove_file(row)

    @troubles.told
    async def texts(self, reader: Reader, store_id: str, file_id: str, version: int | None = None) -> tuple[str, ...]:
        store = await self._row(reader, store_id, "read_whole")
        row = await self._file(reader, store_id, file_id)
        chunks = await self._histories.chunks(await self._histories.version(store, row, version))
        return tuple(chunk.content.text for chunk in chunks)

    @troubles.told
    async def versions(self, reader: Reader, store_id: str, file_id: str) -> tuple[FileVersion, ...]:
        store = await self._row(reader, store_id)
        return tuple(map(shown, await self._histories.versions(store, await self._file(reader, store_id, file_id))))

    @troubles.told
    async def difference(
        self, reader: Reader, store_id: str, file_id: str, old: int | None, new: int | None
    ) -> Difference:
        store = await self._row(reader, store_id, "read_whole")
        return await self._histories.difference(store, await self._file(reader, store_id, file_id), old, new)

    # Batches

    @troubles.told
    async def batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts:
        await self._row(reader, store_id)
        return counted(await self._shelves.ask(self._catalogue.of_batch, store_id, batch_id))

    @troubles.told
    async def cancel_batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts:
        await self._row(reader, store_id, "change")
        await self._shelves.cancel(store_id, batch_id)
        return counted(await self._shelves.ask(self._catalogue.of_batch, store_id, batch_id))

    # Questions

    @troubles.told
    async def search(self, reader: Reader, ask: Ask) -> Found:
        rows = [await self._row(reader, store_id) for store_id in dict.fromkeys(ask.store_ids)]
        for row in rows:
            await self._used(row)
        return await self._questions.answer(reader, rows, ask)

    def usual_stores(self, reader: Reader, model: str) -> tuple[str, ...]:
        return self._usual.of(reader, model)

    @troubles.told
    async def set_usual(self, reader: Reader, store_id: str, models: Sequence[str], keys: Sequence[str]) -> Store:
        await self._row(reader, store_id, "share")

        def granted(row: StoreRow) -> StoreRow:
            return replace(row, readers=checked(with_grants(row.readers, models, keys), "keys"))

        row = await self._shelves.ask(self._catalogue.change_store, store_id, granted)
        if row is None:
            raise troubles.no_store(store_id)
        await self._shelves.ask(self._usual.save, row, models, keys)
        return await self._shown(row)

    # Folders

    @troubles.told
    async def add_folder(self, reader: Reader, store_id: str, path: str, watched: bool) -> Folder:
        return await self._folders.add(reader, await self._row(reader, store_id, "change"), path, watched)

    @troubles.told
    async def folders(self, reader: Reader) -> tuple[Folder, ...]:
        rows = await self._shelves.ask(self._catalogue.stores, tenants_of(reader))
        mine = {row.store_id for row in rows if may_read(reader, row)}
        return tuple(one for one in await self._folders.all_of(tenants_of(reader)) if one.store_id in mine)

    @troubles.told
    async def drop_folder(self, reader: Reader, folder_id: str) -> None:
        folder = next((one for one in await self.folders(reader) if one.folder_id == folder_id), None)
        if folder is None:
            raise troubles.no_folder(folder_id)
        await self._row(reader, folder.store_id, "change")
        await self._folders.drop(tenants_of(reader), folder_id)

    async def _row(self, reader: Reader, store_id: str, right: Right = "read") -> StoreRow:
        row = await self._shelves.ask(self._catalogue.store, store_id)
        if row is None or not may_see(reader, row) or row.expired(self._clock.wall_s()):
            raise troubles.no_store(store_id)
        refuse(reader, row, right)
        return row

    async def _file(self, reader: Reader, store_id: str, file_id: str, right: Right = "read") -> FileRow:
        await self._row(reader, store_id, right)
        row = await self._shelves.ask(self._catalogue.file, store_id, file_id)
        if row is None:
            raise troubles.no_file(store_id, file_id)
        return row

    async def _shown(self, row: StoreRow) -> Store:
        return (await self._all_shown([row]))[0]

    async def _all_shown(self, rows: Sequence[StoreRow]) -> tuple[Store, ...]:
        ids = [row.store_id for row in rows]
        standing = await self._shelves.ask(self._catalogue.standing, ids)
        chunks = await self._shelves.ask(self._catalogue.chunks, ids)
        return tuple(row.shown(*standing.get(row.store_id, (Counts(), 0)), chunks.get(row.store_id, 0)) for row in rows)

    async def _used(self, row: StoreRow) -> None:
        now_s = self._clock.wall_s()
        if now_s - row.used_s >= USED_EVERY_S:
            await self._shelves.ask(self._catalogue.change_store, row.store_id, lambda now: replace(now, used_s=now_s))


def _days(row: StoreRow, wanted: int | None) -> int | None:
    if wanted is None:
        return row.expires_after_days
    return None if wanted == NEVER else wanted


def _wanted(store: StoreRow, known: FileRow | None, new: NewFile, wish: tuple[Reader, str | None, float]) -> FileRow:
    """As it stands now that somebody wants it read, whatever was read of it before."""
    reader, batch_id, now_s = wish
    if known is None:
        known = FileRow(
            new.file_id, store.store_id, store.tenant, new.file_id, new.name, new.path, "in_progress", now_s, 0, now_s,
            reader,
        )  # fmt: skip
    told = replace(
        known, name=new.name, path=new.path, attributes=dict(new.attributes), chunking=new.chunking, batch_id=batch_id
    )  # fmt: skip
    return _anew(told, reader, now_s)


def _anew(row: FileRow, reader: Reader, now_s: float) -> FileRow:
    """To be read, as if nobody had tried; what was read before stays found."""
    return replace(
        row, status="in_progress", asked=row.asked + 1, asked_s=now_s, reader=reader, failed_hash=None,
        problem_code=None, problem=None, tries=0, next_s=0.0,
    )  # fmt: skip
