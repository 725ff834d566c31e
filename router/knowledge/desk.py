"""What clients do with vector stores. What they may not read is not there, and of uploads each reads in its own."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from cluster.knowledge import (
    Ask,
    Attribute,
    Chunking,
    Counts,
    FileStatus,
    FoundChunk,
    KnowledgeError,
    NewFile,
    NewStore,
    Reader,
    StoreChange,
    StoreFile,
)
from cluster.moments import moment_of
from cluster.snapshot import KeyRecord
from inventory.clock import Clock
from router.batches.desk import BatchDesk
from router.batches.values import DOCUMENTS, FileRow
from router.dialects.file_search_tool import AsOf, checked_moment
from router.errors import ApiError
from router.knowledge.answer import AnswerObject, answer_object
from router.knowledge.key_names import grants_of
from router.knowledge.objects import (
    ContentPage,
    DifferenceObject,
    FileBatchObject,
    SearchPage,
    StoreDeleted,
    StoreFileDeleted,
    StoreFileList,
    StoreFileObject,
    StoreList,
    StoreObject,
    TextPart,
    VersionList,
)
from router.knowledge.told import (
    batch_id_at,
    batch_object,
    difference_object,
    file_object,
    search_page,
    store_object,
    version_object,
)
from router.knowledge.wire import (
    AgainBody,
    AttributesBody,
    BatchOfFilesBody,
    FileBody,
    HistoryBody,
    QuestionBody,
    SearchBody,
    StoreBody,
    StoreChangeBody,
    chunking_of,
)
from router.knowledge_errors import as_api_error
from router.listing import Slice
from router.readers import Caller
from router.server_tools import Knowledge

_FIELDS: Mapping[str, str] = MappingProxyType({"encoder": "embedding_model"})  # of ours, by what documents call them
ANSWER_TOKENS = 32_000  # for people who read: all that was found, with what is around it
Wanted = Sequence[tuple[FileBody, Chunking | None]]


class DocumentDesk:
    """Its calls raise ApiError. None of them waits until a file is read."""

    def __init__(
        self, knowledge: Knowledge, files: BatchDesk | None, clock: Clock, keys: Callable[[], Sequence[KeyRecord]]
    ) -> None:
        self.knowledge, self._files, self._clock, self.keys = knowledge, files, clock, keys
        self._turn = asyncio.Lock()  # no file goes into a store while it is taken out of all of them

    # Stores

    async def create(self, who: Caller, body: StoreBody) -> StoreObject:
        chunking = chunking_of(body.chunking_strategy)
        wanted = [(FileBody(file_id), chunking) for file_id in dict.fromkeys(body.file_ids)]
        days = None if body.expires_after is None else body.expires_after.days
        store = NewStore(
            body.name, body.description, body.metadata or {}, days, body.embedding_model, body.data_class,
            self._grants(who, body.owners), self._grants(who, body.readers), body.licence,
            (body.history or HistoryBody()).kept(), body.pii,
        )  # fmt: skip
        async with self._turn:
            files = await self._readable(who, wanted, "file_ids")
            with said("embedding_model"):
                made = await self.knowledge.create_store(who.reader, store)
                if files:
                    await self.knowledge.add_files(who.reader, made.store_id, files)
        return await self.store(who, made.store_id)

    async def stores(self, who: Caller, wanted: Slice) -> StoreList:
        with said():
            found = {store.store_id: store for store in await self.knowledge.stores(who.reader)}
        ids, more = wanted.of(list(found))
        data = [store_object(found[store_id], who.reader, self._clock.wall_s()) for store_id in ids]
        return StoreList(data=data, first_id=_first(ids), last_id=_last(ids), has_more=more)

    async def store(self, who: Caller, store_id: str) -> StoreObject:
        with said():
            return store_object(await self.knowledge.store(who.reader, store_id), who.reader, self._clock.wall_s())

    async def change(self, who: Caller, store_id: str, body: StoreChangeBody) -> StoreObject:
        history = None if body.history is None else body.history.kept()
        owners = None if body.owners is None else self._grants(who, body.owners)
        readers = None if body.readers is None else self._grants(who, body.readers)
        change = StoreChange(
            body.name, body.description, body.metadata, body.days, body.data_class, owners, readers, body.licence,
            history, body.pii,
        )  # fmt: skip
        with said():
            changed = await self.knowledge.change_store(who.reader, store_id, change)
        return store_object(changed, who.reader, self._clock.wall_s())

    async def drop(self, who: Caller, store_id: str) -> StoreDeleted:
        with said():
            await self.knowledge.drop_store(who.reader, store_id)
        return StoreDeleted(id=store_id)

    # Files of one

    async def add(self, who: Caller, store_id: str, body: FileBody) -> StoreFileObject:
        (file,) = await self._add(who, store_id, [(body, chunking_of(body.chunking_strategy))], "file_id")
        return file_object(file)

    async def files(
        self, who: Caller, store_id: str, status: FileStatus | None, wanted: Slice, batch_id: str | None = None
    ) -> StoreFileList:
        """Of one batch, or all."""
        reader = who.reader
        with said():
            if batch_id is not None:
                await self.knowledge.batch(reader, store_id, batch_id)
            files = await self.knowledge.files(reader, store_id)
        found = {
            file.file_id: file
            for file in files
            if status in (None, file.status) and (batch_id is None or file.batch_id == batch_id)
        }
        ids, more = wanted.of(list(found))
        data = [file_object(found[file_id]) for file_id in ids]
        return StoreFileList(data=data, first_id=_first(ids), last_id=_last(ids), has_more=more)

    async def file(self, who: Caller, store_id: str, file_id: str) -> StoreFileObject:
        with said():
            return file_object(await self.knowledge.file(who.reader, store_id, file_id))

    async def read_again(self, who: Caller, body: AgainBody) -> StoreFileObject:
        """It need not be an upload of this caller: it lies in the store already, or in a folder."""
        with said("file_id"):
            file = await self.knowledge.read_again(who.reader, body.vector_store_id, body.file_id)
        return file_object(file)

    async def change_file(self, who: Caller, store_id: str, file_id: str, body: AttributesBody) -> StoreFileObject:
        attributes: dict[str, Attribute] = dict(body.attributes or {})
        with said():
            return file_object(await self.knowledge.change_file(who.reader, store_id, file_id, attributes))

    async def drop_file(self, who: Caller, store_id: str, file_id: str) -> StoreFileDeleted:
        with said():
            await self.knowledge.drop_file(who.reader, store_id, file_id)
        return StoreFileDeleted(id=file_id)

    async def texts(self, who: Caller, store_id: str, file_id: str, version: int | None) -> ContentPage:
        with said("version"):
            texts = await self.knowledge.texts(who.reader, store_id, file_id, version)
        return ContentPage(data=[TextPart(text) for text in texts])

    async def versions(self, who: Caller, store_id: str, file_id: str) -> VersionList:
        with said():
            found = await self.knowledge.versions(who.reader, store_id, file_id)
        return VersionList(data=[version_object(one) for one in found])

    async def difference(
        self, who: Caller, store_id: str, file_id: str, old: int | None, new: int | None
    ) -> DifferenceObject:
        with said():
            return difference_object(
                await self.knowledge.difference(who.reader, store_id, file_id, old, new)
            )  # fmt: skip

    # Batches of files

    async def add_batch(self, who: Caller, store_id: str, body: BatchOfFilesBody) -> FileBatchObject:
        each = {one.file_id: one for one in body.each()}
        wanted = [(one, chunking_of(one.chunking_strategy)) for one in each.values()]
        batch_id = batch_id_at(self._clock.wall_s(), secrets.token_hex(12))
        field = "files" if body.file_ids is None else "file_ids"
        await self._add(who, store_id, wanted, field, batch_id)
        return await self.batch(who, store_id, batch_id)

    async def batch(self, who: Caller, store_id: str, batch_id: str) -> FileBatchObject:
        with said():
            counts: Counts = await self.knowledge.batch(who.reader, store_id, batch_id)
        return batch_object(batch_id, store_id, counts)

    async def cancel_batch(self, who: Caller, store_id: str, batch_id: str) -> FileBatchObject:
        with said():
            counts = await self.knowledge.cancel_batch(who.reader, store_id, batch_id)
        return batch_object(batch_id, store_id, counts)

    # What is in them

    async def search(self, who: Caller, store_id: str, body: SearchBody) -> SearchPage:
        """Of several questions the best answers to any: a chunk that answers two counts once, as the better of both."""
        reader, alpha, at_s = who.reader, body.alpha, self._moment(body.as_of)
        asks = [
            Ask(
                text, (store_id,), body.max_num_results, body.filters, body.least_score, alpha, at_s=at_s,
                rerank=body.rerank,
            )
            for text in body.queries
        ]  # fmt: skip
        best: dict[str, FoundChunk] = {}
        with said():
            for ask in asks:
                for chunk in (await self.knowledge.search(reader, ask)).chunks:
                    if chunk.chunk_id not in best or best[chunk.chunk_id].score < chunk.score:
                        best[chunk.chunk_id] = chunk
        ranked = sorted(best.values(), key=lambda chunk: -chunk.score)[: body.max_num_results]
        return search_page(body.queries, ranked)

    async def answer(self, who: Caller, body: QuestionBody) -> AnswerObject:
        """With the whole of what was found, and what stands around it."""
        ids, at_s = tuple(dict.fromkeys(body.vector_store_ids)), self._moment(body.as_of)
        ask = Ask(
            body.query, ids, body.max_num_results, budget_tokens=ANSWER_TOKENS, at_s=at_s, marked=True
        )  # fmt: skip
        with said("vector_store_ids"):
            return answer_object(body.query, at_s, await self.knowledge.search(who.reader, ask))

    def _moment(self, as_of: AsOf | None) -> float | None:
        """Raises ApiError 400."""
        said_s = checked_moment(as_of, "as_of")
        return None if said_s is None else moment_of(said_s, self._clock.wall_s())

    async def let_go(self, file: FileRow) -> None:
        """An upload is going away: nothing of it is found from now on."""
        if file.purpose in DOCUMENTS:
            owner = file.owner
            reader = Reader(owner.tenant, owner.key_id, "", "private", owner.user or None)
            async with self._turn:
                with said():
                    await self.knowledge.forget_file(reader, file.file_id)

    def _grants(self, who: Caller, told: Sequence[str]) -> tuple[str, ...]:
        return grants_of(told, who.identity.tenant, self.keys())

    async def _add(
        self, who: Caller, store_id: str, wanted: Wanted, field: str, batch_id: str | None = None
    ) -> tuple[StoreFile, ...]:
        async with self._turn:
            files = await self._readable(who, wanted, field)
            with said():
                return await self.knowledge.add_files(who.reader, store_id, files, batch_id)

    async def _readable(self, who: Caller, wanted: Wanted, field: str) -> list[NewFile]:
        """Uploads of this caller, as a store reads them. Raises ApiError 404, 400 or 503."""
        if wanted and self._files is None:
            raise ApiError(503, "batches_off", "this gateway keeps no files: its log says why")
        found = []
        for body, chunking in wanted:
            assert self._files is not None
            row, path = await self._files.document(who.identity, body.file_id, field)
            found.append(NewFile(row.file_id, row.name, str(path), body.attributes or {}, chunking))
        return found


@contextmanager
def said(param: str | None = None) -> Iterator[None]:
    """What goes wrong with documents, as the error of a request."""
    try:
        yield
    except KnowledgeError as error:
        found = as_api_error(error, param)
        found.param = _FIELDS.get(found.param or "", found.param)
        raise found from error


def _first(ids: Sequence[str]) -> str | None:
    return ids[0] if ids else None


def _last(ids: Sequence[str]) -> str | None:
    return ids[-1] if ids else None
