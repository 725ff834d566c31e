"""Carries erasures out: written down first, then part by part, and again after a crash until each part is done."""

import asyncio
import hashlib
import io
import sqlite3
import zipfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.erasure import Erasable, Gone, Holding, Person, Piece, Sought, sought
from cluster.erasure_list import Entry, ErasureList, done
from cluster.private_cleaning import missing
from inventory.clock import Clock
from inventory.logs import told
from inventory.paths import StatePaths
from inventory.secret_files import ExposedSecretError
from router.errors import ApiError
from router.log import EventLog

Answer = TypeVar("Answer")
Names = Callable[[Sought], Awaitable[tuple[str, ...]]]
"""What stands in documents for identifiers of somebody."""

AGAIN_S = 30.0
EXPORT_ID, EXPORT_KEY = "er_" + "0" * 24, bytes(32)  # of one that is only looked for


async def no_names(sought: Sought) -> tuple[str, ...]:
    return ()


class Eraser:
    """`parts` in their order: the head first, as it puts on record what is about to happen. What `names` tells is
    looked for as identifiers are, from the beginning: after a crash it may not be known any more."""

    def __init__(
        self, paths: StatePaths, clock: Clock, log: EventLog, parts: Sequence[Erasable], names: Names = no_names
    ) -> None:
        self._paths, self._clock, self._log = paths, clock, log
        self._parts, self._names = tuple(parts), names
        self.list = ErasureList(paths)
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()

    async def preview(self, person: Person) -> tuple[Holding, ...]:
        """Raises ApiError."""
        wanted = await self._wanted(person)
        return tuple([one for part in self._parts for one in await self._asked(part.holds(wanted))])

    async def export(self, person: Person) -> bytes:
        """A zip with all that `preview` counts, and a manifest of it. Raises ApiError."""
        wanted = await self._wanted(person)
        holdings = tuple([one for part in self._parts for one in await self._asked(part.holds(wanted))])
        pieces = [one for part in self._parts for one in await self._asked(part.export(wanted))]
        return await asyncio.to_thread(_zipped, pieces, holdings, self._clock.wall_s())

    async def erase(self, person: Person) -> tuple[Entry, tuple[str, ...]]:
        """What went, and originals that lie outside of potluck's hands. It is written down before anything goes: where
        it cannot be finished now, it goes on later, and its entry says why. Raises ApiError."""
        keys = await self._keys(person)
        person = await self._named(person, keys)
        wanted = await asyncio.to_thread(self.list.begin, person, keys, self._clock.wall_s())
        return await self._carry_out(self._entry(wanted.erasure_id), wanted)

    async def run(self) -> None:
        """Until cancelled: what was begun and is not done, and what a database that came back from a backup lacks."""
        await self.look_for_backups()
        while True:
            self._news.clear()
            for entry in await asyncio.to_thread(self.list.entries):
                wanted = self.list.sought(entry)
                if entry.state == "begun" and wanted is not None and not self._turn.locked():
                    await self._carry_out(entry, wanted)
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def replay(self, bundle: bytes | None) -> int:
        """Every erasure once more, those of the bundle among them: how many will be carried out. Raises ApiError."""
        if bundle is not None:
            try:
                await asyncio.to_thread(self.list.take, bundle)
            except (msgspec.MsgspecError, ValueError) as error:
                raise ApiError(400, "invalid_value", f"this is no list of erasures: {error}", "list") from error
        entries = await asyncio.to_thread(self.list.entries)
        for entry in entries:
            await asyncio.to_thread(self.list.save, replace(entry, state="begun"))
        self._news.set()
        return len(entries)

    async def look_for_backups(self) -> None:
        """What a database lacks that came back from one is begun anew."""
        entries = [one for one in await asyncio.to_thread(self.list.entries) if one.state == "done"]
        ids = {one.erasure_id for one in entries}
        paths = self._paths
        lacking = set[str]()
        for path in (paths.library_db, paths.batches_db, paths.telemetry_db, paths.pseudonyms_db):
            lacking |= await asyncio.to_thread(missing, path, ids)
        for entry in entries:
            if entry.erasure_id in lacking:
                self._log.emit("erasure_replayed", name=entry.erasure_id)
                await asyncio.to_thread(self.list.save, replace(entry, state="begun"))

    async def _carry_out(self, entry: Entry, wanted: Sought) -> tuple[Entry, tuple[str, ...]]:
        async with self._turn:
            gone: list[Gone] = []
            for part in self._parts:
                try:
                    gone.append(await part.erase(wanted))
                except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again until it is done
                    return await self._not_yet(entry, part, error, gone)
                marks = tuple(mark for one in gone for mark in one.kept_out)
                if marks:  # before anything that was removed could be read again
                    entry = replace(entry, kept_out=tuple(dict.fromkeys((*entry.kept_out, *marks))))
                    await asyncio.to_thread(self.list.save, entry)
            entry = done(entry, tuple(gone), self._clock.wall_s())
            await asyncio.to_thread(self.list.save, entry)
            self._log.emit("erasure_done", name=entry.erasure_id, records=sum(one.count for one in entry.holdings))
            return entry, tuple(path for one in gone for path in one.outside)

    async def _not_yet(
        self, entry: Entry, part: Erasable, error: Exception, gone: Sequence[Gone]
    ) -> tuple[Entry, tuple[str, ...]]:
        known = isinstance(error, ApiError | OSError | AdminRefusedError | HeadUnreachableError)
        entry = replace(entry, trouble=f"{part.place}: {error if known else told(error)}")
        self._log.emit("erasure_not_done", name=entry.erasure_id, kind=part.place, error=told(error))
        await asyncio.to_thread(self.list.save, entry)
        return entry, tuple(path for one in gone for path in one.outside)

    def _entry(self, erasure_id: str) -> Entry:
        return next(one for one in self.list.entries() if one.erasure_id == erasure_id)

    async def _wanted(self, person: Person) -> Sought:
        """Raises ApiError."""
        keys = await self._keys(person)
        return _looked_for(await self._named(person, keys), keys)

    async def _named(self, person: Person, keys: tuple[str, ...]) -> Person:
        """With his pseudonyms. Raises ApiError."""
        try:
            names = await self._names(_looked_for(person, keys))
        except (OSError, ExposedSecretError, sqlite3.Error) as error:
            message = f"what stands in documents for identifiers cannot be read: {self._paths.pseudonyms_db}: {error}"
            raise ApiError(503, "pseudonyms_unreadable", f"{message}; `potluck doctor` says what to do") from error
        return replace(person, identifiers=(*person.identifiers, *names))

    async def _keys(self, person: Person) -> tuple[str, ...]:
        """Ids of keys that go by this name, of which requests and files know only the ids."""
        head = AdminClient(self._paths.head_socket)
        if not person.who:
            return ()
        found = await self._asked(head.keys())
        return tuple(key.key_id for key in found if person.who in (key.name, key.key_id))

    @staticmethod
    async def _asked(coming: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await coming
        except (HeadUnreachableError, AdminRefusedError) as error:
            message = f"the head must be asked what it knows of somebody, and it does not answer: {error}"
            raise ApiError(503, "head_unreachable", message).retry_after(5) from error


def _looked_for(person: Person, keys: tuple[str, ...]) -> Sought:
    """Raises ApiError."""
    try:
        return sought(EXPORT_ID, EXPORT_KEY, person, keys)
    except ValueError as error:
        raise ApiError(400, "invalid_value", str(error)) from error


def _zipped(pieces: Sequence[Piece], holdings: Sequence[Holding], now_s: float) -> bytes:
    manifest = {
        "made": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds"),
        "holds": [msgspec.to_builtins(one) for one in holdings],
        "files": [
            {"path": one.path, "bytes": len(one.content), "sha256": hashlib.sha256(one.content).hexdigest()}
            for one in pieces
        ],
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        for one in pieces:
            file.writestr(one.path, one.content)
    return content.getvalue()
