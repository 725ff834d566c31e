"""Folders that people want read: which there are, and how far each is."""

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from cluster.knowledge import Folder, KnowledgeError, Reader
from rag.library import troubles
from rag.library.rows import FolderRow, StoreRow, counted
from rag.library.shelves import Shelves


class FolderDesk:
    def __init__(self, shelves: Shelves, wake: Callable[[], None], protected: Path) -> None:
        self._shelves, self._wake, self._protected = shelves, wake, protected

    async def add(self, reader: Reader, store: StoreRow, path: str, watched: bool) -> Folder:
        """One that is there already is read once more, and watched or not, as is said now. Raises KnowledgeError."""
        real = await asyncio.to_thread(_checked, path, self._protected)
        others = [one for one in await self._rows((store.tenant,)) if one.store_id == store.store_id]
        for other in others:
            if other.path != real and os.path.commonpath([other.path, real]) in (other.path, real):
                message = f"{real} and {other.path}, which is read into this store already, lie in each other"
                raise KnowledgeError("conflict", "folder_overlaps", message, "path")
        known = next((one for one in others if one.path == real), None)
        if known is None:
            known = FolderRow(f"folder_{secrets.token_hex(16)}", store.store_id, store.tenant, real, watched, reader)
        wanted = replace(known, watched=watched, reader=reader, done=False)
        await self._shelves.ask(self._shelves.catalogue.save_folder, wanted)
        self._wake()
        return await self._shown(wanted)

    async def all_of(self, tenants: Sequence[str]) -> tuple[Folder, ...]:
        return tuple([await self._shown(row) for row in await self._rows(tenants)])

    async def drop(self, tenants: Sequence[str], folder_id: str) -> None:
        """Raises KnowledgeError."""
        row = next((one for one in await self._rows(tenants) if one.folder_id == folder_id), None)
        if row is None:
            raise troubles.no_folder(folder_id)
        await self._shelves.drop_folder(row)

    async def _rows(self, tenants: Sequence[str]) -> list[FolderRow]:
        return await self._shelves.ask(self._shelves.catalogue.folders, tenants)

    async def _shown(self, row: FolderRow) -> Folder:
        files = await self._shelves.ask(self._shelves.catalogue.of_folder, row.folder_id)
        return Folder(row.folder_id, row.store_id, row.path, row.watched, counted(files), row.looked_s, row.done)


def _checked(path: str, protected: Path) -> str:
    """Where it really is. Raises KnowledgeError."""
    told = Path(path)
    if not told.is_absolute() or "\x00" in path:
        raise KnowledgeError("invalid", "invalid_path", f"{path} is no absolute path on the gateway's machine", "path")
    try:
        real = told.resolve(strict=True)
        os.scandir(real).close()
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        message = f"{path} cannot be read on the gateway's machine ({why}); its user needs the right to"
        raise KnowledgeError("invalid", "invalid_path", message, "path") from error
    kept = protected.resolve()
    if real == kept or kept in real.parents:
        message = f"{path} lies in potluck's own state directory, which is no place for documents"
        raise KnowledgeError("invalid", "invalid_path", message, "path")
    return str(real)
