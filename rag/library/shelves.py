"""library.db and the store of vectors, changed together in an order that a crash at any step leaves to be mended.

A file is in library.db before it is read, and there as completed only when its version is whole in the store. What goes
is first marked as leaving, which hides it, then taken out of the store, and forgotten last.
"""

import asyncio
import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from msgspec.structs import replace

from rag.library.catalogue import Catalogue
from rag.library.rows import FileRow, FolderRow, StoreRow
from rag.stores.contract import OtherEncoderError, UnknownDocumentError, UnknownSpaceError, VectorStore
from rag.values import NewChunk, NewDocument, Space, Vectors, Version, document_id_of

Answer = TypeVar("Answer")


class Shelves:
    """One change of a store at a time. Methods may raise StoreError, sqlite3.Error."""

    def __init__(self, catalogue: Catalogue, store: VectorStore) -> None:
        self.catalogue, self.store = catalogue, store
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._spaces: dict[str, Space] = {}

    async def ask(self, question: Callable[..., Answer], *facts: object) -> Answer:
        """A call of the catalogue, in a thread."""
        return await asyncio.to_thread(question, *facts)

    def changing(self, store_id: str) -> asyncio.Lock:
        """Held by who changes the store in a way of its own."""
        return self._locks[store_id]

    async def space(self, store: StoreRow) -> Space | None:
        """None while nothing was read into it: how long its vectors are is not known before."""
        if store.store_id not in self._spaces:
            found = await self.store.spaces(store.tenant)
            self._spaces |= {one.space_id.name: one for one in found if one.space_id == store.space_id}
        return self._spaces.get(store.store_id)

    async def remember(self, store_id: str, rows: Callable[[], Sequence[FileRow]]) -> tuple[FileRow, ...]:
        """`rows` looks at the catalogue and says what it should hold. Whatever was leaving the store has left."""
        async with self._locks[store_id]:
            await self._finish_leaving(store_id)

            def saved() -> tuple[FileRow, ...]:
                wanted = tuple(rows())
                self.catalogue.save_files(wanted)
                return wanted

            return await asyncio.to_thread(saved)

    async def put(self, row: FileRow, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors) -> bool:
        """Its next version, and that it is completed. `document` has the attributes that it says of itself. False where
        it is not wanted any more, or wanted anew."""
        async with self._locks[row.store_id]:
            store = await self.ask(self.catalogue.store, row.store_id)
            wanted = await self._still_wanted(row)
            if store is None or wanted is None:
                return False
            own, facts = document.attributes, {**document.attributes, **wanted.attributes}
            whole = dataclasses.replace(document, attributes=facts)
            version = await self._put(store, whole, chunks, vectors)
            if version.document.attributes != facts:
                await self.store.describe(store.space_id, version.document_id, facts)
            size_bytes = sum(one.document.size_bytes for one in await self._versions(store, document.name))
            completed = _completed(replace(wanted, own=own), version, size_bytes)
            await self.ask(self.catalogue.save_files, [completed])
            return True

    async def keep(self, row: FileRow) -> bool:
        """It is as it was read before, but for its attributes, perhaps. False where it is not wanted any more."""
        async with self._locks[row.store_id]:
            store = await self.ask(self.catalogue.store, row.store_id)
            wanted = await self._still_wanted(row)
            if store is None or wanted is None:
                return False
            await self.store.describe(store.space_id, document_id_of(store.space_id, row.document), wanted.facts)
            size_bytes = sum(one.document.size_bytes for one in await self._versions(store, row.document))
            kept = replace(
                wanted, status="completed", size_bytes=size_bytes, failed_hash=None, problem_code=None, problem=None,
                tries=0, next_s=0.0,
            )  # fmt: skip
            await self.ask(self.catalogue.save_files, [kept])
            return True

    async def note(self, row: FileRow, **facts: object) -> bool:
        """How it stands, where it is still wanted."""
        async with self._locks[row.store_id]:
            wanted = await self._still_wanted(row)
            if wanted is None:
                return False
            await self.ask(self.catalogue.save_files, [replace(wanted, **facts)])
            return True

    async def describe(self, store_id: str, file_id: str, change: Callable[[FileRow], FileRow]) -> FileRow | None:
        """Other attributes for it, and for what can be found of it. None where it is gone."""
        async with self._locks[store_id]:
            store = await self.ask(self.catalogue.store, store_id)
            row = await self.ask(self.catalogue.file, store_id, file_id)
            if store is None or row is None:
                return None
            changed = change(row)
            if row.version:
                await self.store.describe(store.space_id, document_id_of(store.space_id, row.document), changed.facts)
            await self.ask(self.catalogue.save_files, [changed])
            return changed

    async def cancel(self, store_id: str, batch_id: str) -> None:
        """What was not read of it yet never will be."""
        async with self._locks[store_id]:
            waiting = await self.ask(self.catalogue.of_batch, store_id, batch_id, "in_progress")
            await self.ask(self.catalogue.save_files, [replace(row, status="cancelled") for row in waiting])

    async def remove_file(self, row: FileRow) -> None:
        """From everywhere, in every version."""
        async with self._locks[row.store_id]:
            await self.ask(self.catalogue.let_file_leave, *row.key)
            await self._take_out(row)

    async def trim(self, row: FileRow, past: Callable[[Sequence[Version]], Collection[int]]) -> int:
        """Forget those of its versions that `past` names: how many went."""
        async with self._locks[row.store_id]:
            store = await self.ask(self.catalogue.store, row.store_id)
            now = await self.ask(self.catalogue.file, *row.key)
            if store is None or now is None:
                return 0
            with contextlib.suppress(UnknownSpaceError, UnknownDocumentError):
                known = await self._versions(store, row.document)
                document_id = document_id_of(store.space_id, row.document)
                gone = await self.store.forget_versions(store.space_id, document_id, past(known))
                if gone:
                    left = sum(one.document.size_bytes for one in await self._versions(store, row.document))
                    await self.ask(self.catalogue.save_files, [replace(now, size_bytes=left)])
                return gone
            return 0

    async def drop_folder(self, folder: FolderRow) -> None:
        """What was read of it stays."""
        async with self._locks[folder.store_id]:
            files = await self.ask(self.catalogue.of_folder, folder.folder_id)
            await self.ask(self.catalogue.forget_folder, folder.folder_id)
            await self.ask(self.catalogue.save_files, [replace(row, folder_id=None) for row in files])

    async def drop_store(self, store: StoreRow) -> None:
        async with self._locks[store.store_id]:
            await self.ask(self.catalogue.let_store_leave, store.store_id)
            await self._drop(store)

    async def finish_leaving(self) -> None:
        """What a crash, or a store that did not answer, kept from leaving."""
        for store in await self.ask(self.catalogue.leaving_stores):
            async with self._locks[store.store_id]:
                await self._drop(store)
        for store_id in {row.store_id for row in await self.ask(self.catalogue.leaving_files)}:
            async with self._locks[store_id]:
                await self._finish_leaving(store_id)

    async def _put(
        self, store: StoreRow, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors
    ) -> Version:
        """Into its space, made when its first vectors say how long they are. Raises OtherEncoderError."""
        dimensions = vectors.shape[1]
        space = await self.space(store)
        if space is None:
            made = Space(store.space_id, store.encoder, dimensions, store.data_class, 0.0, store.name)
            space = self._spaces[store.store_id] = await self.store.make_space(made)
        if space.dimensions != dimensions:
            raise OtherEncoderError(space, store.encoder, dimensions)
        try:
            return await self.store.put(store.space_id, document, chunks, vectors)
        except UnknownSpaceError:  # the store of vectors was taken away from under us: made anew next time
            self._spaces.pop(store.store_id, None)
            raise

    async def _finish_leaving(self, store_id: str) -> None:
        for row in await self.ask(self.catalogue.leaving_files):
            if row.store_id == store_id:
                await self._take_out(row)

    async def _take_out(self, row: FileRow) -> None:
        store = await self.ask(self.catalogue.store, row.store_id)
        if store is not None and await self.space(store) is not None:
            with contextlib.suppress(UnknownSpaceError):
                await self.store.remove(store.space_id, document_id_of(store.space_id, row.document))
        await self.ask(self.catalogue.forget_file, *row.key)

    async def _drop(self, store: StoreRow) -> None:
        await self.store.drop_space(store.space_id)
        self._spaces.pop(store.store_id, None)
        await self.ask(self.catalogue.forget_store, store.store_id)

    async def _still_wanted(self, row: FileRow) -> FileRow | None:
        known = await self.ask(self.catalogue.file, *row.key)
        return known if known is not None and known.asked == row.asked and known.status == "in_progress" else None

    async def _versions(self, store: StoreRow, document: str) -> tuple[Version, ...]:
        return await self.store.versions(store.space_id, document_id_of(store.space_id, document))


def _completed(row: FileRow, version: Version, size_bytes: int) -> FileRow:
    return replace(
        row, status="completed", content_hash=version.document.content_hash, title=version.document.title,
        version=version.number, chunks=version.chunks, size_bytes=size_bytes, failed_hash=None, problem_code=None,
        problem=None, tries=0, next_s=0.0,
    )  # fmt: skip
