"""People's documents as an erasure meets them: which are somebody's or name him, and how nothing of them is left."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from cluster.erasure import Gone, Holding, Piece, Sought
from cluster.key_order import OWNER
from cluster.knowledge import Reader
from rag.library.rows import FileRow, FolderRow, StoreRow, Usual
from rag.library.shelves import Shelves
from rag.stores.contract import UnknownDocumentError, UnknownSpaceError
from rag.values import Version, document_id_of

NOBODY = "erased"
KEEPER = "role:admin"  # owns what has no other owner left in a tenant

Found = tuple[StoreRow, FileRow, tuple[Version, ...]]


class DocumentErasure:
    """Implements cluster.erasure.Erasable. Methods may raise StoreError, sqlite3.Error, OSError."""

    place = "documents"

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        found = await self._found(sought)
        versions = [version for _, _, each in found for version in each]
        stores = [row for row in await self._stores() if _says(row, sought)]
        counts = {
            "documents": len(found), "versions": len(versions),
            "chunks with their vectors": sum(one.chunks for one in versions),
            "spaces and folders that are his": len(stores) + len(await self._folders(sought)),
            "spaces that his keys ask by themselves": len(await self._usual(sought)),
        }  # fmt: skip
        return tuple(Holding(self.place, what, count) for what, count in counts.items() if count)

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        pieces = []
        for store, row, versions in await self._found(sought):
            begin = f"{self.place}/{store.store_id}/{row.file_id}"
            told = [{**msgspec.to_builtins(one), "texts": await self._texts(one)} for one in versions]
            document = {"store": store.name, "file": msgspec.to_builtins(row), "versions": told}
            pieces.append(Piece(f"{begin}/document.json", _json(document)))
            with contextlib.suppress(FileNotFoundError):
                content = await asyncio.to_thread(Path(row.path).read_bytes)
                pieces.append(Piece(f"{begin}/original/{Path(row.name).name}", content))
        for space in [row for row in await self._stores() if _says(row, sought)]:
            pieces.append(Piece(f"{self.place}/{space.store_id}/space.json", _json(msgspec.to_builtins(space))))
        for folder in await self._folders(sought):
            pieces.append(Piece(f"{self.place}/{folder.folder_id}.json", _json(msgspec.to_builtins(folder))))
        if usual := await self._usual(sought):
            pieces.append(Piece(f"{self.place}/usual.json", _json(msgspec.to_builtins(usual))))
        return tuple(pieces)

    async def erase(self, sought: Sought) -> Gone:
        held, found = await self.holds(sought), await self._found(sought)
        outside = tuple(row.path for _, row, _ in found if row.source is not None)
        for folder in await self._folders(sought):
            await self._shelves.drop_folder(folder)
        catalogue = self._shelves.catalogue
        await self._shelves.ask(catalogue.scrub_later, {store.store_id for store, _, _ in found})
        for _, row, _ in found:
            await self._shelves.remove_file(row)
        for store in await self._stores():
            if _says(store, sought):
                await self._let_go(store, sought)
        every = await self._shelves.ask(catalogue.usual)
        for store_id in {one.store_id for one in await self._usual(sought)}:
            left = [one for one in every if one.store_id == store_id and not sought.is_person(one.key_id, None)]
            await self._shelves.ask(catalogue.set_usual, store_id, left)
        await self._shelves.finish_leaving()
        await self._scrub()
        await self._shelves.ask(catalogue.clean, sought.erasure_id)
        kept_out = tuple(sought.mark("kept_out", path).hex() for path in outside)
        return Gone(held, outside, kept_out)

    async def _scrub(self) -> None:
        """Also of spaces from which an earlier try took something, before a crash ended it."""
        catalogue = self._shelves.catalogue
        stores = {row.store_id: row for row in await self._stores()}
        for store_id in await self._shelves.ask(catalogue.to_scrub):
            async with self._shelves.changing(store_id):
                if store_id in stores:
                    with contextlib.suppress(UnknownSpaceError):
                        await self._shelves.store.scrub(stores[store_id].space_id)
                await self._shelves.ask(catalogue.scrubbed, store_id)
        await self._shelves.store.clean()

    async def _let_go(self, store: StoreRow, sought: Sought) -> None:
        """A space that nobody else owns and that has nothing of others goes; else it stays without him."""
        owners = tuple(one for one in store.owners if not _is_his(one, sought))
        if not owners and not await self._shelves.ask(self._shelves.catalogue.files, store.store_id):
            await self._shelves.drop_store(store)
            return

        def without(row: StoreRow) -> StoreRow:
            readers = tuple(one for one in row.readers if not _is_his(one, sought))
            named = {name: NOBODY for name in ("name", "description") if sought.names(getattr(row, name))}
            pairs = {key: value for key, value in row.metadata.items() if not sought.names(f"{key} {value}")}
            told = replace(row, reader=_without(row.reader, sought), readers=readers, metadata=pairs, **named)
            return replace(told, owners=owners or (_keeper(row),))

        await self._shelves.ask(self._shelves.catalogue.change_store, store.store_id, without)

    async def _stores(self) -> list[StoreRow]:
        return await self._shelves.ask(self._shelves.catalogue.stores)

    async def _folders(self, sought: Sought) -> list[FolderRow]:
        rows = await self._shelves.ask(self._shelves.catalogue.folders)
        return [row for row in rows if sought.is_person(row.reader.key_id, row.reader.user)]

    async def _usual(self, sought: Sought) -> list[Usual]:
        rows = await self._shelves.ask(self._shelves.catalogue.usual)
        return [row for row in rows if sought.is_person(row.key_id, None)]

    async def _found(self, sought: Sought) -> list[Found]:
        found: list[Found] = []
        for store in await self._stores():
            for row in await self._shelves.ask(self._shelves.catalogue.files, store.store_id):
                versions = await self._versions(store, row)
                his = sought.is_document(row.file_id) or sought.is_person(row.reader.key_id, row.reader.user)
                if his or (sought.naming and await self._names_him(row, versions, sought)):
                    found.append((store, row, versions))
        return found

    async def _names_him(self, row: FileRow, versions: Sequence[Version], sought: Sought) -> bool:
        told = [row.name, row.title, row.document, json.dumps(msgspec.to_builtins(row.facts), ensure_ascii=False)]
        if await asyncio.to_thread(_any, sought, told):
            return True
        for version in versions:
            document = version.document
            texts = [document.title, json.dumps(dict(document.attributes), ensure_ascii=False)]
            texts += ["\n".join(await self._texts(version))]
            if await asyncio.to_thread(_any, sought, texts):
                return True
        return False

    async def _versions(self, store: StoreRow, row: FileRow) -> tuple[Version, ...]:
        if await self._shelves.space(store) is None:
            return ()
        try:
            document_id = document_id_of(store.space_id, row.document)
            return await self._shelves.store.versions(store.space_id, document_id)
        except (UnknownDocumentError, UnknownSpaceError):  # nothing was read of it
            return ()

    async def _texts(self, version: Version) -> list[str]:
        chunks = await self._shelves.store.chunks(version, 0, version.chunks)
        return [f"{one.content.heading}\n{one.content.text}".strip() for one in chunks]


def _keeper(store: StoreRow) -> str:
    """Of the cluster owner's space nobody: its grants reach every tenant's admins, and its tenant's he is himself."""
    return f"key:{NOBODY}" if store.tenant == OWNER else KEEPER


def _says(store: StoreRow, sought: Sought) -> bool:
    grants = any(_is_his(one, sought) for one in (*store.owners, *store.readers))
    words = " ".join((store.name, store.description, *store.metadata, *store.metadata.values()))
    his = sought.is_person(store.reader.key_id, store.reader.user)
    return his or grants or (sought.naming and sought.names(words))


def _any(sought: Sought, texts: Sequence[str]) -> bool:
    return any(sought.names(text) for text in texts)


def _is_his(grant: str, sought: Sought) -> bool:
    kind, _, name = grant.partition(":")
    return sought.is_person(name if kind == "key" else None, name if kind == "user" else None)


def _without(reader: Reader, sought: Sought) -> Reader:
    return replace(reader, key_id=NOBODY, user=None) if sought.is_person(reader.key_id, reader.user) else reader


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
