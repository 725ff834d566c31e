"""How databases that must survive a power cut and be nobody else's are opened."""

import os
import sqlite3
from pathlib import Path

from inventory.secret_files import ExposedSecretError


def open_private(path: Path) -> sqlite3.Connection:
    """Created with mode 0600, WAL, every commit on the disk. Raises sqlite3.Error, OSError."""
    # SQLite would make it with the umask's mode; its -wal and -shm files take the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves data in the drive's cache
        connection.execute("PRAGMA busy_timeout = 5000")
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_exposed(path: Path) -> None:
    """Raises ExposedSecretError where others can read the database or what SQLite keeps beside it."""
    for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        if file.exists() and (mode := file.stat().st_mode & 0o777) & 0o077:
            raise ExposedSecretError(file, mode)
