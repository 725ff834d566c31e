"""Uploads, batches and their answers, as an erasure meets them."""

import asyncio
import contextlib
from collections.abc import Iterator

import msgspec

from cluster.erasure import Gone, Holding, Piece, Sought
from router.batches.runner import BatchRunner
from router.batches.store import BatchStore
from router.batches.values import FINAL, BatchRow, FileRow, Owner


class BatchErasure:
    """Implements cluster.erasure.Erasable. Documents go before: what a store has read of an upload is no more there."""

    place = "files"

    def __init__(self, store: BatchStore, runner: BatchRunner) -> None:
        self._store, self._runner = store, runner

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        files, batches = await asyncio.to_thread(self._found, sought)
        counts = {"files": len(files), "batches": len(batches)}
        return tuple(Holding(self.place, what, count) for what, count in counts.items() if count)

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        files, batches = await asyncio.to_thread(self._found, sought)
        return await asyncio.to_thread(lambda: tuple(self._pieces(files, batches)))

    async def erase(self, sought: Sought) -> Gone:
        held = await self.holds(sought)
        _, batches = await asyncio.to_thread(self._found, sought)
        for batch in batches:
            await self._runner.cancel(batch)
        files, batches = await asyncio.to_thread(self._found, sought)
        if any(batch.status not in FINAL for batch in batches):
            raise OSError("a batch is being cancelled")  # its lines on machines end first
        for file in files:
            await self._runner.drop(file)
        await asyncio.to_thread(self._store.forget, [batch.batch_id for batch in batches])
        await asyncio.to_thread(self._store.erased, sought.erasure_id)
        return Gone(held)

    def _found(self, sought: Sought) -> tuple[list[FileRow], list[BatchRow]]:
        batches = [batch for batch in self._store.batches() if self._is_his(batch.owner, sought)]
        known = {batch.batch_id for batch in batches}
        others = [batch for batch in self._store.batches() if batch.batch_id not in known]
        named = [batch for batch in others if sought.naming and self._names_him(batch, sought)]
        batches += named
        theirs = {one for batch in batches for one in (batch.input_file, batch.output_file, batch.error_file) if one}
        files = [
            file
            for file in self._store.every_file()
            if file.file_id in theirs or self._is_his(file.owner, sought) or self._is_meant(file, sought)
        ]
        return files, batches

    def _is_his(self, owner: Owner, sought: Sought) -> bool:
        return sought.is_person(owner.key_id, owner.user or None)

    def _is_meant(self, file: FileRow, sought: Sought) -> bool:
        if sought.is_document(file.file_id):
            return True
        return sought.naming and (sought.names(file.name) or sought.names(self._text(file.file_id)))

    def _names_him(self, batch: BatchRow, sought: Sought) -> bool:
        if sought.names(msgspec.json.encode(batch.metadata).decode()) or sought.names(self._text(batch.input_file)):
            return True
        return any(
            sought.names(answer.body.decode(errors="replace"))
            for failed in (False, True)
            for _, _, answer in self._store.answers(batch.batch_id, failed)
        )

    def _text(self, file_id: str) -> str:
        """As far as it is text: what is written in a format of its own was read by the documents' part."""
        with contextlib.suppress(FileNotFoundError):
            return self._store.content(file_id).read_bytes().decode(errors="replace")
        return ""

    def _pieces(self, files: list[FileRow], batches: list[BatchRow]) -> Iterator[Piece]:
        for file in files:
            yield Piece(f"{self.place}/{file.file_id}/file.json", _json(file))
            with contextlib.suppress(FileNotFoundError):
                yield Piece(f"{self.place}/{file.file_id}/content", self._store.content(file.file_id).read_bytes())
        for batch in batches:
            lines = [
                {"custom_id": custom_id, "failed": failed, "status": answer.status, "answer": answer.body.decode()}
                for failed in (False, True)
                for _, custom_id, answer in self._store.answers(batch.batch_id, failed)
            ]
            told = {"batch": msgspec.to_builtins(batch), "answers": lines}
            yield Piece(f"{self.place}/{batch.batch_id}.json", _json(told))


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
