"""Looks into folders, again and again where they are watched, and says what of them is to be read.

Looking is all it needs: it works on every file system, over a network too, where nobody tells of changes.
"""

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import structlog
from msgspec.structs import replace

from inventory.clock import Clock
from rag.library.folders import Look, Seen, changes, look_into
from rag.library.rows import FileRow, FolderRow, folder_file_id
from rag.library.shelves import Shelves
from rag.library.sidecars import Sidecars, Told, below
from rag.stores.contract import StoreError

EVERY_S = 3.0
SHARE = 0.05  # of the time at most is spent on looking into a folder that takes long

log = structlog.get_logger("potluck.rag")


class Watcher:
    def __init__(self, shelves: Shelves, clock: Clock, wake: Callable[[], None], protected: Path) -> None:
        self._shelves, self._clock, self._wake, self._protected = shelves, clock, wake, protected
        self._sidecars = Sidecars()
        self.is_kept_out: Callable[[str], bool] = _nothing
        """Whether a file, by its path, is not to be read again, as an erasure took it out. Blocks."""
        self._stamps: dict[str, dict[str, str]] = {}  # of each folder's last look, by path
        self._next_s: dict[str, float] = {}  # monotonic

    async def look(self) -> None:
        """Into each folder whose turn it is. Raises sqlite3.Error."""
        folders = await self._shelves.ask(self._shelves.catalogue.folders)
        for folder in folders:
            began_s = self._clock.monotonic_s()
            if (folder.done and not folder.watched) or began_s < self._next_s.get(folder.folder_id, 0.0):
                continue
            try:
                await self._look_into(folder)
            except (OSError, StoreError, sqlite3.Error) as error:
                log.warning("folder_not_read", path=folder.path, error=str(error))
            now_s = self._clock.monotonic_s()
            self._next_s[folder.folder_id] = now_s + max(EVERY_S, (now_s - began_s) / SHARE)
        there = {folder.folder_id for folder in folders}
        for folder_id in self._stamps.keys() - there:
            del self._stamps[folder_id]
        self._sidecars.keep_only(there)

    async def _look_into(self, folder: FolderRow) -> None:
        look = await asyncio.to_thread(look_into, Path(folder.path), self._protected)
        for path in look.unseen:
            log.warning("folder_not_read", path=path, error="it cannot be read; what was read of it stays")
        known = await self._shelves.ask(self._shelves.catalogue.of_folder, folder.folder_id)
        before = self._stamps.get(folder.folder_id, {})
        found = changes(await asyncio.to_thread(self._wanted, look), before, known, self._clock.wall_s())
        self._stamps[folder.folder_id] = {path: one.stamp for path, one in look.seen.items()}
        told = await asyncio.to_thread(self._sidecars.told, folder, look)
        for row in found.gone:
            await self._shelves.remove_file(row)
        if found.fresh:
            await self._remember(folder, found.fresh, told)
        if told is not None:
            await self._describe(folder, known, told)
        await self._note(folder, look, found.all_quiet)

    def _wanted(self, look: Look) -> Look:
        """Without what an erasure took out. Blocks."""
        return dataclasses.replace(
            look, seen={path: one for path, one in look.seen.items() if not self.is_kept_out(path)}
        )

    async def _describe(self, folder: FolderRow, known: Iterable[FileRow], told: Told) -> None:
        """Files whose text is as it was, and of which something else is told."""
        for row in known:
            beside = told.get(below(folder, row.path), {})
            if row.beside != beside:
                await self._shelves.describe(*row.key, partial(FileRow.told, beside=beside))

    async def _remember(self, folder: FolderRow, fresh: Sequence[Seen], told: Told | None) -> None:
        now_s, catalogue = self._clock.wall_s(), self._shelves.catalogue

        def rows() -> list[FileRow]:
            known = {row.path: row for row in catalogue.of_folder(folder.folder_id)}
            taken = catalogue.documents(folder.store_id, [name for one in fresh for name in _names(folder, one)])
            rows = [_row(folder, one, known.get(one.path), taken, now_s) for one in fresh]
            return rows if told is None else [row.told(told.get(below(folder, row.path), {})) for row in rows]

        if await self._shelves.remember(folder.store_id, rows):
            self._wake()

    async def _note(self, folder: FolderRow, look: Look, all_quiet: bool) -> None:
        folders = await self._shelves.ask(self._shelves.catalogue.folders)
        now = next((one for one in folders if one.folder_id == folder.folder_id), None)
        if now is not None:
            looked = replace(now, looked_s=self._clock.wall_s(), done=all_quiet and not look.unseen)
            await self._shelves.ask(self._shelves.catalogue.save_folder, looked)


def _nothing(_: str) -> bool:
    return False


def _names(folder: FolderRow, seen: Seen) -> tuple[str, str, str]:
    """By which its document may be known, the best first: another folder of the store may have one of the first."""
    return seen.relative, f"{Path(folder.path).name}/{seen.relative}", f"{folder.folder_id}/{seen.relative}"


def _row(folder: FolderRow, seen: Seen, known: FileRow | None, taken: dict[str, FileRow], now_s: float) -> FileRow:
    """As it is wanted now."""
    if known is None:
        names = _names(folder, seen)
        free = next((name for name in names if name not in taken or taken[name].path == seen.path), names[-1])
        known = taken.get(free) or FileRow(
            folder_file_id(folder.store_id, free), folder.store_id, folder.tenant, free, seen.relative, seen.path,
            "in_progress", now_s, 0, now_s, folder.reader,
        )  # fmt: skip
    return replace(
        known, status="in_progress", asked=known.asked + 1, asked_s=now_s, reader=folder.reader, stamp=seen.stamp,
        folder_id=folder.folder_id, source=folder.path, tries=0, next_s=0.0,
    )  # fmt: skip
