"""telemetry.db: what became of each request, written in batches by one thread, kept for seven days."""

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
    # 1: one row a request. What is summed and filtered by is a column, the whole record is JSON.
    """
    CREATE TABLE requests (
        sequence INTEGER PRIMARY KEY,
        arrived_s REAL NOT NULL,
        tenant TEXT NOT NULL,
        key_id TEXT NOT NULL,
        model TEXT NOT NULL,
        node_id TEXT,
        outcome TEXT NOT NULL,
        input_tokens INTEGER,
        output_tokens INTEGER,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX requests_arrived ON requests (arrived_s);
    """,
)

_INSERT = (
    "INSERT INTO requests (arrived_s, tenant, key_id, model, node_id, outcome, input_tokens, output_tokens, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_encoder = msgspec.json.Encoder()


class TelemetryVersionError(Exception):
    """The database is of a later potluck. Handled by the command that started the gateway: it prints this."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}, this potluck knows {len(MIGRATIONS)}; upgrade, or move it away")
        self.path, self.version = path, version


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create, and bring the schema up to date. Raises TelemetryVersionError."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        connection.close()
        raise TelemetryVersionError(path, version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")
    path.chmod(0o600)
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
        self._connection.execute("DELETE FROM requests WHERE arrived_s < ?", (self._pruned_s - RETENTION_S,))


def read_records(path: Path) -> list[RequestRecord]:
    """Every record in the database, oldest first."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT record FROM requests ORDER BY sequence").fetchall()
    return [msgspec.json.decode(text, type=RequestRecord) for (text,) in rows]


def _row(record: RequestRecord) -> tuple[object, ...]:
    return (
        record.arrived_wall_s,
        record.tenant,
        record.key_id,
        record.model,
        record.node_id,
        record.outcome,
        record.input_tokens,
        record.output_tokens,
        _encoder.encode(record).decode(),
    )
