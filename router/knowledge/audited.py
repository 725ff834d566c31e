"""People's documents with every access on record: the only way to them that doors have."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cluster.audit_documents import DocumentAction, DocumentDeed
from cluster.audit_records import Detail, Outcome
from cluster.knowledge import (
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
from router.knowledge.metrics import DocumentMetrics
from router.knowledge.recorder import Recorder
from router.request import PERSON, TOKEN_HOLDER
from router.server_tools import Knowledge

_IDS = re.compile(r"(vs_|file-|folder_)[0-9a-f]{32}")
_REFUSALS = ("vector_store_not_found", "folder_not_found")


class AuditedKnowledge:
    """Implements router.server_tools.Knowledge. What is read is on record before it is told; what is changed, before it
    is done, and again with what came of it. Lists of what there is are on record only where they were refused."""

    def __init__(self, inner: Knowledge, recorder: Recorder, metrics: DocumentMetrics, clock: Clock) -> None:
        self._inner, self._recorder, self._metrics, self._clock = inner, recorder, metrics, clock

    async def create_store(self, reader: Reader, wanted: NewStore) -> Store:
        async with self._changing("documents.make", reader, "") as told:
            made = await self._inner.create_store(reader, wanted)
            told += [("store", made.store_id), ("data_class", made.data_class), ("licensed", made.licensed)]
        await self._shared(reader, made, ((), ()))
        return made

    async def stores(self, reader: Reader) -> tuple[Store, ...]:
        return await self._inner.stores(reader)

    async def store(self, reader: Reader, store_id: str) -> Store:
        async with self._looking(reader, store_id):
            return await self._inner.store(reader, store_id)

    async def change_store(self, reader: Reader, store_id: str, change: StoreChange) -> Store:
        action: DocumentAction = "documents.share" if change.of_access else "documents.change"
        async with self._changing(action, reader, store_id, *_of_change(change)):
            before = await self._inner.store(reader, store_id)
            changed = await self._inner.change_store(reader, store_id, change)
        await self._shared(reader, changed, (before.owners, before.readers))
        return changed

    async def drop_store(self, reader: Reader, store_id: str) -> None:
        async with self._changing("documents.drop", reader, store_id):
            await self._inner.drop_store(reader, store_id)

    async def add_files(
        self, reader: Reader, store_id: str, files: Sequence[NewFile], batch_id: str | None = None
    ) -> tuple[StoreFile, ...]:
        ids = _told_ids([file.file_id for file in files])
        async with self._changing("documents.add", reader, store_id, ("count", len(files)), ("files", ids)):
            return await self._inner.add_files(reader, store_id, files, batch_id)

    async def files(self, reader: Reader, store_id: str) -> tuple[StoreFile, ...]:
        async with self._looking(reader, store_id):
            return await self._inner.files(reader, store_id)

    async def file(self, reader: Reader, store_id: str, file_id: str) -> StoreFile:
        async with self._looking(reader, store_id):
            return await self._inner.file(reader, store_id, file_id)

    async def read_again(self, reader: Reader, store_id: str, file_id: str) -> StoreFile:
        async with self._changing("documents.add", reader, store_id, ("count", 1), ("files", _id(file_id))):
            return await self._inner.read_again(reader, store_id, file_id)

    async def change_file(
        self, reader: Reader, store_id: str, file_id: str, attributes: dict[str, Attribute]
    ) -> StoreFile:
        async with self._changing("documents.change", reader, store_id, ("file", _id(file_id))):
            return await self._inner.change_file(reader, store_id, file_id, attributes)

    async def drop_file(self, reader: Reader, store_id: str, file_id: str) -> None:
        async with self._changing("documents.drop", reader, store_id, ("file", _id(file_id))):
            await self._inner.drop_file(reader, store_id, file_id)

    async def forget_file(self, reader: Reader, file_id: str) -> None:
        async with self._changing("documents.drop", reader, "", ("file", _id(file_id))):
            await self._inner.forget_file(reader, file_id)

    async def texts(self, reader: Reader, store_id: str, file_id: str, version: int | None = None) -> tuple[str, ...]:
        async with self._reading("documents.read", reader, store_id, ("file", _id(file_id))) as told:
            texts = await self._inner.texts(reader, store_id, file_id, version)
            told += [("version", version or 0), ("parts", len(texts))]
        return texts

    async def versions(self, reader: Reader, store_id: str, file_id: str) -> tuple[FileVersion, ...]:
        async with self._looking(reader, store_id):
            return await self._inner.versions(reader, store_id, file_id)

    async def difference(
        self, reader: Reader, store_id: str, file_id: str, old: int | None, new: int | None
    ) -> Difference:
        async with self._reading("documents.read", reader, store_id, ("file", _id(file_id))) as told:
            found = await self._inner.difference(reader, store_id, file_id, old, new)
            told += [("from", found.old.number), ("version", found.new.number)]
        return found

    async def batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts:
        async with self._looking(reader, store_id):
            return await self._inner.batch(reader, store_id, batch_id)

    async def cancel_batch(self, reader: Reader, store_id: str, batch_id: str) -> Counts:
        async with self._changing("documents.change", reader, store_id):
            return await self._inner.cancel_batch(reader, store_id, batch_id)

    async def search(self, reader: Reader, ask: Ask) -> Found:
        """A record for each space: how much of it was told."""
        stores = tuple(dict.fromkeys(ask.store_ids))
        began_s = self._clock.monotonic_s()
        try:
            found = await self._inner.search(reader, ask)
        except KnowledgeError as error:
            self._metrics.searched("refused" if _refused(error) else "failed", self._clock.monotonic_s() - began_s)
            await self._keep(*(_ended("documents.search", reader, one, error) for one in stores))
            raise
        self._metrics.searched("found" if found.chunks else "nothing", self._clock.monotonic_s() - began_s)
        chunks = [one.store_id for one in found.chunks]
        passages = [one.store_id for one in found.passages]
        counts = {one: (("found", chunks.count(one)), ("passages", passages.count(one))) for one in stores}
        await self._keep(*(_deed("documents.search", "done", reader, one, counts[one]) for one in stores))
        return found

    def usual_stores(self, reader: Reader, model: str) -> tuple[str, ...]:
        return self._inner.usual_stores(reader, model)

    async def set_usual(self, reader: Reader, store_id: str, models: Sequence[str], keys: Sequence[str]) -> Store:
        usual = ("models", " ".join(models)), ("keys", " ".join(keys))
        async with self._changing("documents.share", reader, store_id, *usual):
            before = await self._inner.store(reader, store_id)
            changed = await self._inner.set_usual(reader, store_id, models, keys)
        await self._shared(reader, changed, (before.owners, before.readers))
        return changed

    async def add_folder(self, reader: Reader, store_id: str, path: str, watched: bool) -> Folder:
        async with self._changing("documents.add", reader, store_id, ("watched", watched)) as told:
            folder = await self._inner.add_folder(reader, store_id, path, watched)
            told.append(("folder", folder.folder_id))
        return folder

    async def folders(self, reader: Reader) -> tuple[Folder, ...]:
        return await self._inner.folders(reader)

    async def drop_folder(self, reader: Reader, folder_id: str) -> None:
        async with self._changing("documents.change", reader, "", ("folder", _id(folder_id))):
            await self._inner.drop_folder(reader, folder_id)

    async def _shared(self, reader: Reader, store: Store, before: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        """Who may do more than before, and who less: each by himself."""
        deeds = []
        for right, held, holds in (("own", before[0], store.owners), ("read", before[1], store.readers)):
            changes = [(grant, True) for grant in holds if grant not in held]
            changes += [(grant, False) for grant in held if grant not in holds]
            for grant, given in changes:
                about = (("right", right), ("given", given))
                deeds.append(_deed("documents.share", "done", reader, store.store_id, about, grant))
        await self._keep(*deeds)

    @asynccontextmanager
    async def _reading(
        self, action: DocumentAction, reader: Reader, store_id: str, *about: Detail
    ) -> AsyncIterator[list[Detail]]:
        """What the block has read must not be told before this ends."""
        told: list[Detail] = []
        try:
            yield told
        except KnowledgeError as error:
            await self._keep(_ended(action, reader, store_id, error, about))
            raise
        await self._keep(_deed(action, "done", reader, store_id, (*about, *told)))

    @asynccontextmanager
    async def _changing(
        self, action: DocumentAction, reader: Reader, store_id: str, *about: Detail
    ) -> AsyncIterator[list[Detail]]:
        await self._keep(_deed(action, "begun", reader, store_id, about))
        async with self._reading(action, reader, store_id, *about) as told:
            yield told

    @asynccontextmanager
    async def _looking(self, reader: Reader, store_id: str) -> AsyncIterator[None]:
        try:
            yield
        except KnowledgeError as error:
            if _refused(error):
                await self._keep(_ended("documents.look", reader, store_id, error))
            raise

    async def _keep(self, *deeds: DocumentDeed) -> None:
        if deeds:
            await self._recorder.keep(deeds)


def upload_read(reader: Reader, file_id: str) -> DocumentDeed:
    """Of his own: what others read of it, they read in a space."""
    return _deed("documents.read", "done", reader, "", (("file", file_id),))


def _ended(
    action: DocumentAction, reader: Reader, store_id: str, error: KnowledgeError, about: tuple[Detail, ...] = ()
) -> DocumentDeed:
    outcome: Outcome = "refused" if _refused(error) else "failed"
    return _deed(action, outcome, reader, store_id, (*about, ("code", error.code)))


def _refused(error: KnowledgeError) -> bool:
    """What is not the reader's is not there for him, so that both are one."""
    return error.trouble == "forbidden" or error.code in _REFUSALS


def _deed(
    action: DocumentAction,
    outcome: Outcome,
    reader: Reader,
    store_id: str,
    about: tuple[Detail, ...] = (),
    grant: str = "",
) -> DocumentDeed:
    issued = next((kind for kind in (TOKEN_HOLDER, PERSON) if reader.key_id.startswith(kind)), None)
    subject = "" if issued is None else reader.key_id.removeprefix(issued)
    details = tuple(detail for detail in about if detail[1] != "")
    return DocumentDeed(
        action, outcome, "" if issued else reader.key_id, subject, reader.user or "", reader.tenant, reader.role,
        _id(store_id), reader.request_id, details, grant,
    )  # fmt: skip


def _of_change(change: StoreChange) -> tuple[Detail, ...]:
    """Names and descriptions are people's own words, and stay out."""
    found: list[Detail] = []
    if change.data_class is not None:
        found.append(("data_class", change.data_class))
    if change.pii is not None:
        found.append(("pii", change.pii))
    if change.licence is not None:
        found.append(("licensed", bool(change.licence)))
    return tuple(found)


def _id(told: str) -> str:
    """As potluck makes them; anything else might be anything."""
    return told if _IDS.fullmatch(told) else ""


def _told_ids(ids: Sequence[str]) -> str:
    """The first few."""
    return " ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")
