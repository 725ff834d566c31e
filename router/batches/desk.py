"""What clients do with files and batches: each sees its own, and whatever is not its own is not there."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from inventory.clock import Clock
from router.batches.runner import BatchRunner
from router.batches.store import BatchStore
from router.batches.upload import Upload
from router.batches.values import DOCUMENTS, ENDPOINTS, WINDOW_S, BatchRow, FileRow, owner_of
from router.batches.wire import (
    BatchBody,
    BatchList,
    BatchObject,
    FileDeleted,
    FileList,
    FileObject,
    batch_object,
    file_object,
)
from router.borders import class_set
from router.data_class import NONE
from router.errors import ApiError, invalid
from router.listing import Slice
from router.readers import Caller
from router.request import Identity

MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512  # of metadata, as OpenAI has them
INPUT_KEPT_S = 30 * 24 * 3600  # of an input file that names no other time


class BatchDesk:
    """Its calls raise ApiError. None of them waits for an engine."""

    def __init__(self, store: BatchStore, runner: BatchRunner, clock: Clock) -> None:
        self._store, self.runner, self._clock = store, runner, clock
        self.before_reading: Callable[[Caller, FileRow], Awaitable[None]] = _nobody_asks  # may raise ApiError

    @property
    def folder(self) -> Path:
        """Where uploads are written to."""
        return self._store.folder

    async def keep(self, identity: Identity, upload: Upload, added: frozenset[str] = NONE) -> FileObject:
        """A file that has arrived. `added`: privacy classes of what is in it, beside its uploader's key's."""
        file_id, now_s = f"file-{secrets.token_hex(16)}", int(self._clock.wall_s())
        size = await asyncio.to_thread(upload.move_to, self._store.content(file_id))
        kept_s = INPUT_KEPT_S if upload.kept_s is None and upload.purpose == "batch" else upload.kept_s
        expires_s = None if kept_s is None else now_s + kept_s
        classes = tuple(sorted(class_set(identity.data_class) | added))
        row = FileRow(file_id, owner_of(identity), upload.name, upload.purpose, size, now_s, expires_s, classes)
        await asyncio.to_thread(self._store.add_file, row)
        return file_object(row)

    async def file(self, identity: Identity, file_id: str) -> FileObject:
        return file_object(await self._file(identity, file_id))

    async def files(self, identity: Identity, purpose: str | None, wanted: Slice) -> FileList:
        rows = await asyncio.to_thread(self._store.files, owner_of(identity))
        found = {row.file_id: row for row in rows if purpose in (None, row.purpose)}
        ids, more = wanted.of(list(found))
        data = [file_object(found[file_id]) for file_id in ids]
        return FileList(data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=more)

    async def content(self, who: Caller, file_id: str) -> tuple[FileRow, Path]:
        """The file, and where its bytes lie."""
        row = await self._file(who.identity, file_id)
        await self.before_reading(who, row)
        return row, self._store.content(row.file_id)

    async def document(self, identity: Identity, file_id: str, field: str) -> tuple[FileRow, Path]:
        """The same of one that a vector store may read. `field` names it in the caller's request."""
        row = await self._file(identity, file_id, field)
        if row.purpose not in DOCUMENTS:
            raise invalid(f"`{row.file_id}` was uploaded as `{row.purpose}`: upload it as `assistants`", field)
        return row, self._store.content(row.file_id)

    async def drop(self, identity: Identity, file_id: str) -> FileDeleted:
        row = await self._file(identity, file_id)
        batch_id = await asyncio.to_thread(self._store.in_use, row.file_id)
        if batch_id is not None:
            raise ApiError(409, "file_in_use", f"`{batch_id}` still reads this file; cancel it first, or wait for it")
        await self.runner.drop(row)
        return FileDeleted(id=row.file_id)

    async def create(self, identity: Identity, body: BatchBody, added: frozenset[str] = NONE) -> BatchObject:
        """`added`: privacy classes of its lines, beside those of its file and its maker's key."""
        if body.endpoint not in ENDPOINTS:
            raise invalid(f"`endpoint` is one of {', '.join(ENDPOINTS)}", "endpoint")
        check_metadata(body.metadata)
        file = await self._file(identity, body.input_file_id, "input_file_id")
        if file.purpose != "batch":
            raise invalid("this file was not uploaded with the purpose `batch`", "input_file_id")
        now_s = int(self._clock.wall_s())
        batch = BatchRow(
            batch_id=f"batch_{secrets.token_hex(16)}",
            owner=owner_of(identity),
            identity=identity,
            endpoint=body.endpoint,
            input_file=file.file_id,
            metadata=body.metadata,
            status="validating",
            times={"validating": now_s, "expires": now_s + WINDOW_S},
            classes=tuple(sorted({identity.data_class, *file.classes, *added})),
        )
        await asyncio.to_thread(self._store.save, batch)
        self.runner.submit(batch)
        return await self._told(batch)

    async def batch(self, identity: Identity, batch_id: str) -> BatchObject:
        return await self._told(await self._batch(identity, batch_id))

    async def batches(self, identity: Identity, wanted: Slice) -> BatchList:
        found = {row.batch_id: row for row in await asyncio.to_thread(self._store.batches, owner_of(identity))}
        ids, more = wanted.of(list(found))
        data = [await self._told(found[batch_id]) for batch_id in ids]
        return BatchList(data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=more)

    async def cancel(self, identity: Identity, batch_id: str) -> BatchObject:
        """One that is over stays as it is."""
        return await self._told(await self.runner.cancel(await self._batch(identity, batch_id)))

    async def _told(self, batch: BatchRow) -> BatchObject:
        counts = await asyncio.to_thread(self._store.counts, batch.batch_id)
        return batch_object(batch, counts, self.runner.why(batch.batch_id))

    async def _file(self, identity: Identity, file_id: str, field: str = "file_id") -> FileRow:
        row = await asyncio.to_thread(self._store.file, owner_of(identity), file_id)
        if row is None:
            raise ApiError(404, "file_not_found", f"no file `{file_id[:100]}` of this key", field)
        return row

    async def _batch(self, identity: Identity, batch_id: str) -> BatchRow:
        row = await asyncio.to_thread(self._store.batch, owner_of(identity), batch_id)
        if row is None:
            raise ApiError(404, "batch_not_found", f"no batch `{batch_id[:100]}` of this key", "batch_id")
        return row


async def _nobody_asks(who: Caller, file: FileRow) -> None:
    """Of what is no document nobody keeps a record."""


def check_metadata(metadata: dict[str, str] | None) -> None:
    """Raises ApiError 400."""
    pairs = metadata or {}
    if len(pairs) > MOST_PAIRS or any(len(k) > LONGEST_KEY or len(v) > LONGEST_VALUE for k, v in pairs.items()):
        said = f"up to {MOST_PAIRS} pairs, names of {LONGEST_KEY} and values of {LONGEST_VALUE} characters"
        raise invalid(f"`metadata` has {said}", "metadata")
