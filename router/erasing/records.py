"""What telemetry.db has of somebody's requests: usage, and why each went where it went."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from cluster.erasure import Gone, Holding, Piece, Sought
from cluster.private_cleaning import clean, note
from router.telemetry_schema import open_database

BUSY_MS = 10_000
AT_ONCE = 500


class RecordErasure:
    """Implements cluster.erasure.Erasable. Its thread writes beside the gateway's. Methods may raise sqlite3.Error."""

    place = "records"

    def __init__(self, path: Path, *flushes: Callable[[], None]) -> None:
        """`flushes`: what has ended is written before anybody looks. The first is called in the loop, the others in a
        thread."""
        self._path, self._flushes = path, flushes

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        await self._flush()
        return await asyncio.to_thread(self._holds, sought)

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        return await asyncio.to_thread(self._export, sought)

    async def erase(self, sought: Sought) -> Gone:
        await self._flush()
        return await asyncio.to_thread(self._erase, sought)

    async def _flush(self) -> None:
        for at, flush in enumerate(self._flushes):
            if at:
                await asyncio.to_thread(flush)
            else:
                flush()

    def _holds(self, sought: Sought) -> tuple[Holding, ...]:
        if not self._path.exists():
            return ()
        with self._opened() as connection:
            requests, hours = _requests(connection, sought), _hours(connection, sought)
            ids = [request_id for _, request_id, _ in requests]
            counts = {"requests": len(requests), "hours of usage": len(hours), "decisions": _decided(connection, ids)}
        return tuple(Holding(self.place, what, count) for what, count in counts.items() if count)

    def _export(self, sought: Sought) -> tuple[Piece, ...]:
        if not self._path.exists():
            return ()
        with self._opened() as connection:
            told = [msgspec.json.decode(record) for _, _, record in _requests(connection, sought)]
            connection.row_factory = sqlite3.Row
            rows = [
                dict(connection.execute("SELECT * FROM usage_hours LIMIT 1 OFFSET ?", (at,)).fetchone())
                for at in _hours(connection, sought)
            ]
        found = (("requests", told), ("usage", rows))
        return tuple(Piece(f"{self.place}/{name}.json", _json(part)) for name, part in found if part)

    def _erase(self, sought: Sought) -> Gone:
        if not self._path.exists():
            return Gone()
        held = self._holds(sought)
        with self._opened() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            requests, people = _requests(connection, sought), _people(connection, sought)
            for request_id in (one for _, one, _ in requests):
                connection.execute("DELETE FROM decisions WHERE request_id = ?", (request_id,))
            connection.executemany("DELETE FROM requests WHERE sequence = ?", [(one,) for one, _, _ in requests])
            connection.executemany("DELETE FROM usage_hours WHERE key_id = ? AND user = ?", people)
            note(connection, sought.erasure_id)
            connection.execute("COMMIT")
            clean(connection, str(self._path))
        return Gone(held)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(open_database(self._path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()


def _requests(connection: sqlite3.Connection, sought: Sought) -> list[tuple[int, str, str]]:
    """Sequence, id and record of those that are his, or whose record names him."""
    found = []
    for sequence, record in connection.execute("SELECT sequence, record FROM requests"):
        told = msgspec.json.decode(record)
        if sought.is_person(told.get("key_id"), told.get("user")) or sought.names(record):
            found.append((sequence, told["request_id"], record))
    return found


def _people(connection: sqlite3.Connection, sought: Sought) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT DISTINCT key_id, user FROM usage_hours").fetchall()
    return [(key_id, user) for key_id, user in rows if sought.is_person(key_id, user) or sought.names(user)]


def _hours(connection: sqlite3.Connection, sought: Sought) -> list[int]:
    """Which rows of the table, by their place in it."""
    his = {(one, other) for one, other in _people(connection, sought)}
    rows = connection.execute("SELECT key_id, user FROM usage_hours").fetchall()
    return [at for at, row in enumerate(rows) if (row[0], row[1]) in his]


def _decided(connection: sqlite3.Connection, request_ids: list[str]) -> int:
    count = 0
    for first in range(0, len(request_ids), AT_ONCE):
        part = request_ids[first : first + AT_ONCE]
        marks = ", ".join("?" * len(part))
        count += connection.execute(
            f"SELECT count(*) FROM decisions WHERE request_id IN ({marks})", part
        ).fetchone()[0]  # fmt: skip
    return count


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
