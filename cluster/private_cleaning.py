"""How a database is left without a byte of what was deleted: neither in free pages nor in its log. And how it remembers
which erasures it has been through, so that one that comes back from a backup is known by what it lacks."""

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from cluster.private_database import connect_private

TRIES, PAUSE_S = 50, 0.1  # others may be reading


class NotCleanError(Exception):
    """Somebody reads the database all the time, so its log cannot be emptied. The erasure is tried again later."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is being read all the time: its log could not be emptied")


def clean(connection: sqlite3.Connection, path: str = "the database") -> None:
    """Blocks. No transaction may be open. Raises sqlite3.Error, NotCleanError."""
    connection.execute("PRAGMA secure_delete = ON")
    _patiently(connection, "VACUUM")
    for _ in range(TRIES):
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        time.sleep(PAUSE_S)
    raise NotCleanError(path)


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not left:
                raise
            time.sleep(PAUSE_S)


def note(connection: sqlite3.Connection, erasure_id: str) -> None:
    """This database has been through it."""
    connection.execute("CREATE TABLE IF NOT EXISTS erasures (erasure_id TEXT PRIMARY KEY) STRICT")
    connection.execute("INSERT OR IGNORE INTO erasures VALUES (?)", (erasure_id,))


def missing(path: Path, erasure_ids: Iterable[str]) -> set[str]:
    """Those that the database at this path has not been through; none where there is no database. Blocks."""
    wanted = set(erasure_ids)
    if not wanted or not path.exists():
        return set()
    connection = connect_private(path)
    try:
        table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'erasures'").fetchone()
        known = {row[0] for row in connection.execute("SELECT erasure_id FROM erasures")} if table else set()
    finally:
        connection.close()
    return wanted - known
