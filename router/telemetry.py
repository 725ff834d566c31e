"""telemetry.db: what became of each request, written in batches by one thread, kept for seven days."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from inventory.clock import Clock
from router.accounting import RequestRecord

RETENTION_S = 7 * 24 * 3600.0
QUEUE_LIMIT = 20_000
BATCH_EVERY_S = 0.5
PRUNE_EVERY_S = 600.0

MIGRATIONS: Sequence[str] = (
    # 1: one row a request, the whole record as JSON; what is summed and filtered by is a column computed from it.
    # `sequence` follows the order of arrival closely enough to stand in for an index on time. Both keep the price of a
    # request low: reading is rare.
    """
    CREATE TABLE requests (
        sequence INTEGER PRIMARY KEY,
        arrived_s REAL NOT NULL,
        record TEXT NOT NULL,
        tenant TEXT AS (json_extract(record, '$.tenant')) VIRTUAL,
        key_id TEXT AS (json_extract(record, '$.key_id')) VIRTUAL,
        model TEXT AS (json_extract(record, '$.model')) VIRTUAL,
        node_id TEXT AS (json_extract(record, '$.node_id')) VIRTUAL,
        outcome TEXT AS (json_extract(record, '$.outcome')) VIRTUAL,
        input_tokens INTEGER AS (json_extract(record, '$.input_tokens')) VIRTUAL,
        output_tokens INTEGER AS (json_extract(record, '$.output_tokens')) VIRTUAL
    ) STRICT;
    """,
)

_INSERT = "INSERT INTO requests (arrived_s, record) VALUES (?, ?)"
# Stops at the first row that is young enough.
_PRUNE = """
    DELETE FROM requests WHERE sequence < ifnull(
        (SELECT sequence FROM requests WHERE arrived_s >= ? ORDER BY sequence LIMIT 1),
        (SELECT max(sequence) + 1 FROM requests))
"""
_encoder = msgspec.json.Encoder()


class TelemetryVersionError(Exception):
    """The database is of a later potluck. Handled by the command that started the gateway: it prints this."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}, this potluck knows {len(MIGRATIONS)}; upgrade, or move it away")
        self.path, self.version = path, version


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create, and bring the schema up to date. Raises TelemetryVersionError."""
    # SQLite would make it with the umask's mode; its -wal and -shm files take the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")  # pages: 32 MB, a checkpoint every few ten thousand requests
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        connection.close()
        raise TelemetryVersionError(path, version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")
    return connection


class TelemetryWriter:
    """A record sink that never blocks: what its thread cannot write in time is dropped and counted."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._connection = open_database(path)
        self._pending: deque[RequestRecord] = deque()  # both ends are atomic, so the loop needs no lock
        self._stop = threading.Event()
        self._pruned_s = 0.0
        self.dropped = 0
        self.failed_batches = 0
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()

    def record(self, records: Sequence[RequestRecord]) -> None:
        room = max(0, QUEUE_LIMIT - len(self._pending))
        self._pending.extend(records[:room])
        self.dropped += max(0, len(records) - room)

    def close(self) -> None:
        """Write what is pending and end the thread."""
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while not self._stop.wait(BATCH_EVERY_S):
            self._write_batch()
        self._write_batch()

    def _write_batch(self) -> None:
        batch = [self._pending.popleft() for _ in range(len(self._pending))]
        try:
            if batch:
                self._insert(batch)
            if self._clock.wall_s() - self._pruned_s > PRUNE_EVERY_S:
                self._prune()
        except sqlite3.Error:  # a full disk must not stop the gateway; the counters are exported
            self.dropped += len(batch)
            self.failed_batches += 1

    def _insert(self, batch: list[RequestRecord]) -> None:
        self._connection.execute("BEGIN")
        try:
            self._connection.executemany(_INSERT, map(_row, batch))
        except sqlite3.Error:
            self._connection.rollback()
            raise
        self._connection.execute("COMMIT")

    def _prune(self) -> None:
        self._pruned_s = self._clock.wall_s()
        self._connection.execute(_PRUNE, (self._pruned_s - RETENTION_S,))


def read_records(path: Path) -> list[RequestRecord]:
    """Every record in the database, oldest first."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT record FROM requests ORDER BY sequence").fetchall()
    return [msgspec.json.decode(text, type=RequestRecord) for (text,) in rows]


def _row(record: RequestRecord) -> tuple[float, str]:
    return record.arrived_wall_s, _encoder.encode(record).decode()
