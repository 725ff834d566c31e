"""batches.db and the files beside it: what was asked for, and what has been answered, each line once."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from cluster.private_cleaning import clean, note
from cluster.private_database import open_private, refuse_exposed_database
from inventory.paths import StatePaths
from router.batches.values import (
    FINAL,
    BatchRow,
    Counts,
    FileRow,
    LineAnswer,
    LineSpan,
    Owner,
    decode_answer,
    encode_answer,
)

SCHEMA = 1
_TABLES = """
    CREATE TABLE files (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, user TEXT NOT NULL,
        created_s INTEGER NOT NULL, expires_s INTEGER, row BLOB NOT NULL
    ) STRICT;
    CREATE INDEX files_by_owner ON files (tenant, key_id, user, created_s);
    CREATE TABLE batches (
        id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, user TEXT NOT NULL,
        created_s INTEGER NOT NULL, over INTEGER NOT NULL, input_file TEXT NOT NULL, row BLOB NOT NULL
    ) STRICT;
    CREATE INDEX batches_by_owner ON batches (tenant, key_id, user, created_s);
    CREATE TABLE lines (
        batch TEXT NOT NULL, at INTEGER NOT NULL, custom_id TEXT NOT NULL, model TEXT NOT NULL,
        offset INTEGER NOT NULL, size INTEGER NOT NULL,
        failed INTEGER, answer BLOB,
        PRIMARY KEY (batch, at)
    ) STRICT;
    CREATE INDEX lines_left ON lines (batch, at) WHERE failed IS NULL;
"""
_NEW_FILE = "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)"
_OWN = "tenant = ? AND key_id = ? AND user = ?"
_LINE = "at, custom_id, model, offset, size"

_encode = msgspec.json.Encoder().encode
_files = msgspec.json.Decoder(FileRow)
_batches = msgspec.json.Decoder(BatchRow)


class BatchesVersionError(Exception):
    """The database is of a later potluck. Handled by the gateway, which then has no batches, and by the command."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}, this potluck knows {SCHEMA}; upgrade potluck")
        self.path, self.version = path, version


class NoBatchesError(Exception):
    """No gateway has run here. Handled by the command: it prints this and exits 4."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"there are no batches at {path}: the gateway makes that file when it starts, on its own machine; "
            "name its state directory with --state-dir"
        )
        self.path = path


class BatchStore:
    """Every commit is on the disk before the call returns. Calls block, and may come from any thread."""

    def __init__(self, paths: StatePaths) -> None:
        """Raises sqlite3.Error, OSError, BatchesVersionError."""
        self.folder = paths.batch_files
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = open_private(paths.batches_db)
        self._connection.execute("PRAGMA secure_delete = ON")  # answers are taken out once they are in their file
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA:
            self._connection.close()
            raise BatchesVersionError(paths.batches_db, version)
        if version == 0:
            self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def content(self, file_id: str) -> Path:
        """Where the bytes of a file lie."""
        return self.folder / file_id

    # Files

    def add_file(self, row: FileRow) -> None:
        """Of whose content the bytes are in place."""
        self._write(_NEW_FILE, _facts_of(row))

    def file(self, owner: Owner, file_id: str) -> FileRow | None:
        rows = self._read(f"SELECT row FROM files WHERE id = ? AND {_OWN}", file_id, *owner)
        return _files.decode(rows[0][0]) if rows else None

    def files(self, owner: Owner) -> list[FileRow]:
        """The youngest first."""
        rows = self._read(f"SELECT row FROM files WHERE {_OWN} ORDER BY created_s DESC, rowid DESC", *owner)
        return [_files.decode(row) for (row,) in rows]

    def drop_file(self, file_id: str) -> None:
        """The row first: a file without one is removed when the gateway starts."""
        self._write("DELETE FROM files WHERE id = ?", (file_id,))
        self.content(file_id).unlink(missing_ok=True)

    def in_use(self, file_id: str) -> str | None:
        """The batch that still reads this file."""
        rows = self._read("SELECT id FROM batches WHERE input_file = ? AND NOT over", file_id)
        return rows[0][0] if rows else None

    def sweep_folder(self) -> None:
        """Remove what a crash left there. Nobody may write there meanwhile: called before a gateway listens."""
        known = {file_id for (file_id,) in self._read("SELECT id FROM files")}
        for path in self.folder.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)

    def every_file(self) -> list[FileRow]:
        """Whoever's it is."""
        return [_files.decode(row) for (row,) in self._read("SELECT row FROM files ORDER BY rowid")]

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Batches that are over, with their lines."""
        for batch_id in batch_ids:
            self._write("DELETE FROM lines WHERE batch = ?", (batch_id,))
            self._write("DELETE FROM batches WHERE id = ? AND over", (batch_id,))

    def erased(self, erasure_id: str) -> None:
        """No byte of what was deleted is left. Raises sqlite3.Error, NotCleanError."""
        with self._lock:
            note(self._connection, erasure_id)
            clean(self._connection, "batches.db")

    def expired(self, now_s: int) -> list[FileRow]:
        """Files whose time is over, and that nothing reads any more."""
        rows = self._read("SELECT row FROM files WHERE expires_s <= ?", now_s)
        return [row for row in (_files.decode(row) for (row,) in rows) if self.in_use(row.file_id) is None]

    def clean(self) -> None:
        """Drop batches that no file is left of."""
        known = {file_id for (file_id,) in self._read("SELECT id FROM files")}
        for batch in [batch for batch in self.batches() if batch.status in FINAL]:
            if not known & {batch.input_file, batch.output_file, batch.error_file}:
                self._write("DELETE FROM lines WHERE batch = ?", (batch.batch_id,))
                self._write("DELETE FROM batches WHERE id = ?", (batch.batch_id,))

    # Batches

    def save(self, batch: BatchRow) -> None:
        facts = (batch.batch_id, *batch.owner, batch.times["validating"], batch.status in FINAL, batch.input_file)
        self._write(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET over = excluded.over, row = excluded.row",
            (*facts, _encode(batch)),
        )

    def batch(self, owner: Owner, batch_id: str) -> BatchRow | None:
        rows = self._read(f"SELECT row FROM batches WHERE id = ? AND {_OWN}", batch_id, *owner)
        return _batches.decode(rows[0][0]) if rows else None

    def batches(self, owner: Owner | None = None) -> list[BatchRow]:
        """The youngest first."""
        where, facts = ("true", ()) if owner is None else (_OWN, owner)
        rows = self._read(f"SELECT row FROM batches WHERE {where} ORDER BY created_s DESC, rowid DESC", *facts)
        return [_batches.decode(row) for (row,) in rows]

    def open_batches(self) -> list[BatchRow]:
        """Those that are not over, the oldest first."""
        return [_batches.decode(row) for (row,) in self._read("SELECT row FROM batches WHERE NOT over ORDER BY rowid")]

    def begin(self, batch: BatchRow, lines: Iterable[LineSpan]) -> None:
        """Its file is in order: these are its requests."""
        with self._lock, self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.batch_id,))
            connection.executemany(
                f"INSERT INTO lines (batch, {_LINE}) VALUES (?, ?, ?, ?, ?, ?)",
                ((batch.batch_id, *line) for line in lines),
            )
            connection.execute("UPDATE batches SET row = ? WHERE id = ?", (_encode(batch), batch.batch_id))

    def left(self, batch_id: str, after: int, limit: int) -> list[LineSpan]:
        """Lines without an answer, from `after` on."""
        statement = f"SELECT {_LINE} FROM lines WHERE batch = ? AND failed IS NULL AND at >= ? ORDER BY at LIMIT ?"
        return [LineSpan(*row) for row in self._read(statement, batch_id, after, limit)]

    def settle(self, batch_id: str, at: int, answer: LineAnswer, failed: bool) -> None:
        """Its answer, if it has none yet."""
        self._write(
            "UPDATE lines SET failed = ?, answer = ? WHERE batch = ? AND at = ? AND failed IS NULL",
            (failed, encode_answer(answer), batch_id, at),
        )

    def counts(self, batch_id: str) -> Counts:
        ((total, completed, failed),) = self._read(
            "SELECT count(*), count(CASE failed WHEN 0 THEN 1 END), count(CASE failed WHEN 1 THEN 1 END) "
            "FROM lines WHERE batch = ?",
            batch_id,
        )
        return Counts(total, completed, failed)

    def answers(self, batch_id: str, failed: bool) -> Iterable[tuple[int, str, LineAnswer]]:
        """Place, name and answer of its lines, in the order of the input file; none once they are in its files."""
        after = -1
        while rows := self._read(
            "SELECT at, custom_id, answer FROM lines WHERE batch = ? AND failed = ? AND at > ? AND answer IS NOT NULL "
            "ORDER BY at LIMIT 100",
            batch_id,
            failed,
            after,
        ):
            for at, custom_id, answer in rows:
                yield at, custom_id, decode_answer(answer)
            after = rows[-1][0]

    def finish(self, batch: BatchRow, files: Sequence[FileRow]) -> None:
        """It is over, and its answers are in these files, whose bytes are in place."""
        with self._lock, self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_NEW_FILE, map(_facts_of, files))
            connection.execute("UPDATE batches SET row = ?, over = 1 WHERE id = ?", (_encode(batch), batch.batch_id))
            connection.execute("UPDATE lines SET answer = NULL WHERE batch = ?", (batch.batch_id,))

    def _read(self, statement: str, *facts: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._connection.execute(statement, facts).fetchall()

    def _write(self, statement: str, facts: Sequence[object]) -> None:
        with self._lock:
            self._connection.execute(statement, tuple(facts))


def _facts_of(row: FileRow) -> tuple[object, ...]:
    return row.file_id, *row.owner, row.created_s, row.expires_s, _encode(row)


def batches_at(paths: StatePaths, open_only: bool) -> list[tuple[BatchRow, Counts]]:
    """What there is, the youngest first, beside a gateway that may be running. Raises NoBatchesError,
    BatchesVersionError, ExposedSecretError, sqlite3.Error."""
    if not paths.batches_db.exists():
        raise NoBatchesError(paths.batches_db)
    refuse_exposed_database(paths.batches_db)
    store = BatchStore(paths)
    try:
        found = [batch for batch in store.batches() if not open_only or batch.status not in FINAL]
        return [(batch, store.counts(batch.batch_id)) for batch in found]
    finally:
        store.close()


def write_file(path: Path, pieces: Iterable[bytes]) -> int:
    """Whole on the disk when this returns, readable by nobody else. Returns its size in bytes."""
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size
