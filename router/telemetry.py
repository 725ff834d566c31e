"""telemetry.db: what became of each request, its sums by the hour, and why it went where it went; written in batches by
one thread."""

import sqlite3
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from inventory.clock import Clock
from router.accounting import RequestRecord
from router.decision_record import LIMIT_BYTES, DecisionNote, packed, predicted_s
from router.metrics import FIRST_TOKEN_S, Histogram
from router.telemetry_schema import open_database
from router.usage_rollup import KEY_COLUMNS, SUM_COLUMNS, UsageKey, rolled_up

DAY_S = 24 * 3600.0
RETENTION_S = 7 * DAY_S  # of a request, and of a decision
USAGE_RETENTION_S = 400 * DAY_S  # of an hour's sums
QUEUE_LIMIT = 20_000
DECISIONS_LIMIT = 5_000  # each says what was known of every candidate
ROWS_AT_ONCE = 32  # in a statement: each lets the event loop run, and waits for its turn again
BATCH_EVERY_S = 0.5
PRUNE_EVERY_S = 600.0

_REQUESTS = ("requests", "arrived_s", "record")
_DECISIONS = ("decisions", "decided_s", "request_id", "model", "node_id", "predicted_s", "observed_s", "record")
# Stops at the first row that is young enough.
_PRUNE = """
    DELETE FROM {table} WHERE sequence < ifnull(
        (SELECT sequence FROM {table} WHERE {time} >= ? ORDER BY sequence LIMIT 1),
        (SELECT max(sequence) + 1 FROM {table}))
"""
_PRUNE_REQUESTS = _PRUNE.format(table="requests", time="arrived_s")
_PRUNE_DECISIONS = _PRUNE.format(table="decisions", time="decided_s")
_ADD = f"""
    INSERT INTO usage_hours ({", ".join((*KEY_COLUMNS, *SUM_COLUMNS))})
    VALUES ({", ".join("?" * len((*KEY_COLUMNS, *SUM_COLUMNS)))})
    ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in SUM_COLUMNS)}
"""
_PRUNE_USAGE = "DELETE FROM usage_hours WHERE hour_s < ?"
_encoder = msgspec.json.Encoder()

RequestRow = tuple[float, str]
DecisionRow = tuple[float, str, str, str, float | None, float | None, bytearray]


class Batch(NamedTuple):
    """Requests as they are written, and what they add to the sums."""

    rows: Sequence[RequestRow]
    sums: dict[UsageKey, list[float]]


class TelemetryWriter:
    """A record sink that never blocks: what its thread cannot write in time is dropped and counted.

    Rows are made at once, a batch in a row: what they are made of would otherwise stay in memory until the thread
    writes, and the thread would hold up the event loop to make them.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._connection = open_database(path)
        self._pending: deque[Batch] = deque()  # both ends are atomic, so the loop needs no lock
        self._decided: deque[DecisionRow] = deque()
        self._stop, self._writing = threading.Event(), threading.Lock()
        self._pruned_s = 0.0
        self.dropped = 0
        self.failed_batches = 0
        # Of times to the first token, in seconds, by model and node.
        self.prediction_errors: defaultdict[tuple[str, str], Histogram] = defaultdict(lambda: Histogram(FIRST_TOKEN_S))
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()

    def record(self, records: Sequence[RequestRecord]) -> None:
        kept = records[: max(0, QUEUE_LIMIT - sum(len(batch.rows) for batch in tuple(self._pending)))]
        self._pending.append(batch_of(kept))
        self.dropped += len(records) - len(kept)

    def decided(self, notes: Sequence[DecisionNote]) -> None:
        kept = notes[: max(0, DECISIONS_LIMIT - len(self._decided))]
        rows = [decision_row_of(note) for note in kept]
        self._decided.extend(rows)
        for _, _, model, node_id, predicted, observed, _ in rows:
            if predicted is not None and observed is not None:
                self.prediction_errors[model, node_id].observe(abs(observed - predicted))
        self.dropped += len(notes) - len(kept)

    def close(self) -> None:
        """Write what is pending and end the thread."""
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while not self._stop.wait(BATCH_EVERY_S):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what waits. Blocks."""
        with self._writing:
            self._write_batch()

    def _write_batch(self) -> None:
        batches = [self._pending.popleft() for _ in range(len(self._pending))]
        decided = [self._decided.popleft() for _ in range(len(self._decided))]
        try:
            if batches or decided:
                _write(self._connection, batches, decided)
            if self._clock.wall_s() - self._pruned_s > PRUNE_EVERY_S:
                self._prune()
        except sqlite3.Error:  # a full disk must not stop the gateway; the counters are exported
            self.dropped += sum(len(batch.rows) for batch in batches) + len(decided)
            self.failed_batches += 1

    def _prune(self) -> None:
        self._pruned_s = self._clock.wall_s()
        self._connection.execute(_PRUNE_REQUESTS, (self._pruned_s - RETENTION_S,))
        self._connection.execute(_PRUNE_DECISIONS, (self._pruned_s - RETENTION_S,))
        self._connection.execute(_PRUNE_USAGE, (self._pruned_s - USAGE_RETENTION_S,))


def write(connection: sqlite3.Connection, records: Sequence[RequestRecord]) -> None:
    """Rows and sums, all or none of them. Raises sqlite3.Error."""
    _write(connection, [batch_of(records)], ())


def _write(connection: sqlite3.Connection, batches: Sequence[Batch], decided: Sequence[DecisionRow]) -> None:
    connection.execute("BEGIN")
    try:
        _insert(connection, _REQUESTS, [row for batch in batches for row in batch.rows])
        connection.executemany(_ADD, ((*key, *sums) for batch in batches for key, sums in batch.sums.items()))
        _insert(connection, _DECISIONS, decided)
        connection.execute("COMMIT")  # a full disk may show here first
    except sqlite3.Error:
        connection.rollback()
        raise


def _insert(connection: sqlite3.Connection, into: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    table, *columns = into
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        values = ", ".join((f"({', '.join('?' * len(columns))})",) * len(some))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"
        connection.execute(statement, list(chain.from_iterable(some)))


def read_records(path: Path) -> list[RequestRecord]:
    """Every record in the database, oldest first."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT record FROM requests ORDER BY sequence").fetchall()
    return [msgspec.json.decode(text, type=RequestRecord) for (text,) in rows]


def batch_of(records: Sequence[RequestRecord]) -> Batch:
    return Batch(list(map(row_of, records)), rolled_up(records))


def row_of(record: RequestRecord) -> RequestRow:
    return record.arrived_wall_s, _encoder.encode(record).decode()


def decision_row_of(note: DecisionNote) -> DecisionRow:
    decision, request_id, model = note.decision, note.request_id, note.model
    chosen = decision.chosen
    assert chosen is not None
    beside = len(f"{request_id}{model}{chosen.node_id}".encode())
    predicted = predicted_s(decision)
    body = bytearray(packed(note, predicted, LIMIT_BYTES - beside))  # of bytes SQLite's driver looks for an adapter
    return note.decided_wall_s, request_id, model, chosen.node_id, predicted, note.observed_s, body
