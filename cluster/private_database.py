"""How databases are opened that are nobody else's, and those that must survive a power cut too."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from inventory.secret_files import refuse_exposed


def connect_private(path: Path) -> sqlite3.Connection:
    """Created with mode 0600. Raises sqlite3.Error, OSError."""
    # SQLite would make it with the umask's mode; its -wal and -shm files take the mode of the database. One that is
    # there is left alone: to close a file gives up all locks that this process has on it, SQLite's included.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def open_private(path: Path) -> sqlite3.Connection:
    """Created with mode 0600, WAL, every commit on the disk. Raises sqlite3.Error, OSError."""
    connection = connect_private(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves data in the drive's cache
        connection.execute("PRAGMA busy_timeout = 5000")
    except BaseException:
        connection.close()
        raise
    return connection


class SchemaTooNewError(Exception):
    """A newer potluck has written the file. Handled by whoever opens it."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(f"{path} has schema {found}, this potluck knows {known}; upgrade potluck")
        self.path, self.found, self.known = path, found, known


def open_tables(
    path: Path, tables: str, schema: int, since: Mapping[int, str] = MappingProxyType({})
) -> sqlite3.Connection:
    """With these tables; what is deleted is overwritten. `since`: what makes of each older schema the next one. Raises
    sqlite3.Error, OSError, ExposedSecretError, SchemaTooNewError."""
    refuse_exposed_database(path)
    connection = open_private(path)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        with changing(connection):
            found = _schema_of(connection, path, schema)
            for statements in [tables] if found == 0 else [since[one] for one in range(found, schema)]:
                for statement in statements.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema}")
    except BaseException:
        connection.close()
        raise
    return connection


def _schema_of(connection: sqlite3.Connection, path: Path, known: int) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > known:
        raise SchemaTooNewError(path, found, known)
    return int(found)


@contextlib.contextmanager
def changing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction, which is on the disk when this ends, or not at all. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_exposed_database(path: Path) -> None:
    """Raises ExposedSecretError where others can read the database or what SQLite keeps beside it."""
    for file in files_of(path):
        if file.exists():
            refuse_exposed(file)


def files_of(path: Path) -> tuple[Path, ...]:
    """The database, and what SQLite keeps beside it while it is open."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
