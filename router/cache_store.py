"""cache.db: what engines have answered before. It is a cache and no record: what a crash takes is made again."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from cluster.privacy import USUAL_CLASS
from cluster.private_cleaning import clean
from cluster.private_database import connect_private, refuse_exposed_database
from inventory.clock import Clock

Kind = Literal["answers", "vectors"]

SCHEMA = 2
QUEUE_BYTES = 64 * 1024 * 1024
BATCH_EVERY_S = 0.2
AT_ONCE = 500  # keys in one question to SQLite
SPARED = 0.9  # of its limit, to which a full cache shrinks
# The longest unused goes first. `used_s` is in the index with the size, so that the rows' bodies are not read.
_TABLE = """
    CREATE TABLE kept (
        key BLOB NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        made_s REAL NOT NULL,
        used_s REAL NOT NULL,
        bytes INTEGER NOT NULL,
        body BLOB NOT NULL,
        classes TEXT NOT NULL
    ) STRICT;
    CREATE INDEX kept_by_use ON kept (used_s, bytes);
"""
_FIND = "SELECT key, body FROM kept WHERE kind = ? AND tenant = ? AND made_s > ? AND key IN ({})"
_KEEP = (
    "INSERT OR REPLACE INTO kept (key, kind, tenant, model, made_s, used_s, bytes, body, classes) "
    "VALUES (?,?,?,?,?,?,?,?,?)"
)
# Of which privacy classes things were, version 1 did not keep.
_UPGRADE = f"BEGIN IMMEDIATE; DROP TABLE kept; {_TABLE} PRAGMA user_version = {SCHEMA}; COMMIT;"
_USED = "UPDATE kept SET used_s = ? WHERE key = ?"
_SIZE = "SELECT total(bytes) FROM kept"
_SHRINK = """
    DELETE FROM kept WHERE key IN (
        SELECT key FROM (SELECT key, sum(bytes) OVER (ORDER BY used_s, key) - bytes AS before FROM kept)
        WHERE before < ?)
"""


class Entry(NamedTuple):
    """`key` is over all that the answer depends on, its tenant and its privacy classes among it."""

    key: bytes
    kind: Kind
    tenant: str
    model: str
    body: bytes
    classes: frozenset[str] = frozenset((USUAL_CLASS,))


class Kept(NamedTuple):
    """Of one kind, tenant and model."""

    kind: str
    tenant: str
    model: str
    entries: int
    bytes: int


class NoCacheError(Exception):
    """Nothing was ever kept here. Handled by the command: it prints this and exits 4."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"there is no cache at {path}: the gateway makes it when it starts, on its own machine; "
            "name its state directory with --state-dir"
        )
        self.path = path


class CacheUnreadableError(Exception):
    """SQLite cannot read or write what is there. Handled by the command: it prints this."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used ({reason}); if that lasts, remove it: the gateway makes another")
        self.path, self.reason = path, reason


class CacheVersionError(Exception):
    """The file is of a later potluck. Handled by the command: it prints this."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}, this potluck knows {SCHEMA}; upgrade, or remove the file")
        self.path, self.version = path, version


class CacheStore:
    """Read where it is asked, written by one thread. `limit_bytes` is of all bodies together and may change."""

    def __init__(self, path: Path, clock: Clock, limit_bytes: Callable[[], int]) -> None:
        self._clock, self._limit_bytes = clock, limit_bytes
        self._reader, self._writer = open_cache(path), open_cache(path)
        self._lock = threading.Lock()  # of what waits for the thread
        self._entries: list[tuple[Entry, float]] = []
        self._used: set[bytes] = set()
        self._waiting_bytes = 0
        self._writing = threading.Lock()
        self._may_stay: Callable[[frozenset[str]], bool] | None = None
        self._stop = threading.Event()
        self.failed_batches = 0
        self._thread = threading.Thread(target=self._work, name="cache", daemon=True)
        self._thread.start()

    def find(self, kind: Kind, tenant: str, keys: Sequence[bytes], since_s: float) -> Mapping[bytes, bytes]:
        """Bodies by key, of what this tenant was given after `since_s` (wall clock); none where SQLite cannot read."""
        found: dict[bytes, bytes] = {}
        try:
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                statement = _FIND.format(",".join("?" * len(part)))
                found.update(self._reader.execute(statement, (kind, tenant, since_s, *part)))
        except sqlite3.Error:
            self.failed_batches += 1
        if found:
            with self._lock:
                self._used.update(found)
        return found

    def keep(self, entries: Sequence[Entry]) -> None:
        """From the next batch on. What is too much for the queue is not kept."""
        made_s = self._clock.wall_s()
        with self._lock:
            for entry in entries:
                if self._waiting_bytes + len(entry.body) <= QUEUE_BYTES:
                    self._waiting_bytes += len(entry.body)
                    self._entries.append((entry, made_s))

    def held(self) -> int:
        """Entries, of everybody. Blocks. Raises sqlite3.Error."""
        self.flush()
        return int(self._reader.execute("SELECT count(*) FROM kept").fetchone()[0])

    def empty(self) -> None:
        """Of everything, so that no byte of it is left. Blocks. Raises sqlite3.Error, NotCleanError."""
        self.flush()
        with self._writing:
            self._writer.execute("DELETE FROM kept")
            clean(self._writer, "cache.db")

    def forget_unless(self, may_stay: Callable[[frozenset[str]], bool]) -> None:
        """What is of classes that may not be kept here any more, written or about to be. From the next batch on."""
        with self._lock:
            self._may_stay = may_stay

    def close(self) -> None:
        """Write what is pending and end the thread."""
        self._stop.set()
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _work(self) -> None:
        while not self._stop.wait(BATCH_EVERY_S):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what waits. Blocks."""
        with self._lock:
            entries, self._entries = self._entries, []
            used, self._used = self._used, set()
            self._waiting_bytes = 0
            may_stay, self._may_stay = self._may_stay, None
        if not entries and not used and may_stay is None:
            return
        try:
            with self._writing:
                if may_stay is not None:
                    entries = [one for one in entries if may_stay(one[0].classes)]
                    forget_unless(self._writer, may_stay)
                write(self._writer, entries, used, self._clock.wall_s(), self._limit_bytes())
        except sqlite3.Error:  # a full disk must not stop the gateway
            self.failed_batches += 1


def write(
    connection: sqlite3.Connection,
    entries: Sequence[tuple[Entry, float]],
    used: set[bytes],
    now_s: float,
    limit_bytes: int,
) -> None:
    """Entries with the time of each, all or none of them, and within the limit. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_KEEP, (_row(one, made_s) for one, made_s in entries))
        connection.executemany(_USED, ((now_s, key) for key in used))
        size = connection.execute(_SIZE).fetchone()[0]
        if size > limit_bytes:
            connection.execute(_SHRINK, (size - limit_bytes * SPARED,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.rollback()
        raise


def forget_unless(connection: sqlite3.Connection, may_stay: Callable[[frozenset[str]], bool]) -> None:
    """Raises sqlite3.Error."""
    for (classes,) in connection.execute("SELECT DISTINCT classes FROM kept").fetchall():
        if not may_stay(frozenset(classes.split(","))):
            connection.execute("DELETE FROM kept WHERE classes = ?", (classes,))


def _row(one: Entry, made_s: float) -> tuple[object, ...]:
    return (*one[:4], made_s, made_s, len(one.body), one.body, ",".join(sorted(one.classes)))


def open_cache(path: Path) -> sqlite3.Connection:
    """Created with mode 0600. Raises CacheVersionError, sqlite3.Error."""
    connection = connect_private(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")  # what was cleared cannot be read from the file
    connection.execute("PRAGMA busy_timeout = 200")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        connection.close()
        raise CacheVersionError(path, version)
    if version == 1:
        connection.executescript(_UPGRADE)
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLE} PRAGMA user_version = {SCHEMA}; COMMIT;")
    return connection


def kept_in(path: Path) -> list[Kept]:
    """What there is, the largest first. Raises NoCacheError, CacheUnreadableError, CacheVersionError,
    ExposedSecretError."""
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT kind, tenant, model, count(*), sum(bytes) FROM kept GROUP BY 1, 2, 3 ORDER BY 5 DESC, 1, 2, 3"
        )
        return [Kept(*row) for row in rows]


def clear(path: Path, kind: Kind | None = None, tenant: str | None = None, model: str | None = None) -> int:
    """How many are gone: those of this kind, tenant and model, as far as each is named. Raises as `kept_in` does."""
    named = [(name, value) for name, value in (("kind", kind), ("tenant", tenant), ("model", model)) if value]
    where = " AND ".join(f"{name} = ?" for name, _ in named) or "true"
    with _opened(path) as connection:
        gone = connection.execute(f"DELETE FROM kept WHERE {where}", [value for _, value in named]).rowcount
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise NoCacheError(path)
    refuse_exposed_database(path)
    try:
        with closing(open_cache(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise CacheUnreadableError(path, str(error)) from error
