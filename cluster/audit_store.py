"""audit.db: the log as rows of SQLite, its kept checkpoints, and the tip that every commit signs anew.

One connection writes, cluster.audit_writer's. A commit is records and tip together, so that a log which was cut short
after its last kept checkpoint shows it too.
"""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.audit_chain import BadCheckpointError, Chain, Checkpoint, Statement, Tree, read, sign
from cluster.audit_records import POTLUCK, AuditEvent, AuditRecord, Personal, Sealed, encode, record_of
from cluster.private_database import open_private, refuse_exposed_database

SCHEMA_VERSION = 1
# The triggers stop accidents, not people who own the file: those the chain finds.
CREATE = """
CREATE TABLE log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), log TEXT NOT NULL, created_ms INTEGER NOT NULL,
    expired_through INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY, previous BLOB NOT NULL, body BLOB NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (sequence INTEGER PRIMARY KEY, closes INTEGER NOT NULL, document BLOB NOT NULL) STRICT;
CREATE TABLE tip (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), document BLOB NOT NULL) STRICT;
CREATE TRIGGER records_stay_as_they_are BEFORE UPDATE ON records BEGIN
    SELECT RAISE(ABORT, 'an audit record is never changed');
END;
CREATE TRIGGER records_leave_with_their_segment BEFORE DELETE ON records
WHEN old.sequence > (SELECT expired_through FROM log) BEGIN
    SELECT RAISE(ABORT, 'an audit record goes only with its whole segment, once that has expired');
END;
"""


class AuditDamagedError(Exception):
    """audit.db is not as its last writer signed it. The writer refuses to go on: another signature would hide it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} was changed by somebody else: {reason}. See `potluck audit verify`; "
            "to go on, keep the file as evidence, move it away, and start potluck again"
        )
        self.path, self.reason = path, reason


class Sealer(Protocol):
    def seal(self, personal: Personal, sequence: int) -> Sealed: ...


class AuditVersionError(Exception):
    """audit.db was written by a later potluck. The writer writes nothing; commands print this and exit 1."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}; run the version of potluck that wrote it, or a later one")
        self.path, self.version = path, version


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """When a segment ends, and when it may be deleted."""

    segment_records: int = 100_000
    retention_s: float = 7 * 365.25 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Append:
    """An event on its way into the log. `at_ms` is when it was told."""

    event: AuditEvent
    at_ms: int


@dataclass(frozen=True, slots=True)
class Writing:
    """With what a log is written: the signing key, the keys of subjects, and the name of this machine."""

    key: Ed25519PrivateKey
    sealer: Sealer
    node: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far the log has come. `kept` is the last record that a checkpoint vouches for which stays."""

    chain: Chain
    tip: Checkpoint
    kept: int


class AuditStore:
    """Open with `AuditStore.open`, use from one thread at a time. What a method raises besides: sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, standing: _Standing, writing: Writing) -> None:
        self._connection, self._standing, self._writing = connection, standing, writing

    @classmethod
    def open(cls, path: Path, writing: Writing, now_ms: int) -> "AuditStore":
        """Raises AuditDamagedError, AuditVersionError, ExposedSecretError, sqlite3.Error, OSError."""
        refuse_exposed_database(path)
        connection = open_private(path)
        try:
            if not known_version(connection, path):
                _create(connection, writing.key, now_ms)
            return cls(connection, _resumed(connection, path, writing.key), writing)
        except BaseException:
            connection.close()
            raise

    @property
    def unkept(self) -> int:
        """How many records no kept checkpoint vouches for yet."""
        return self._standing.chain.sequence - self._standing.kept

    @property
    def tip(self) -> Checkpoint:
        """The newest checkpoint, kept or not."""
        return self._standing.tip

    def close(self) -> None:
        self._connection.close()

    def append(self, appends: Sequence[Append], limits: AuditLimits) -> tuple[AuditRecord, ...]:
        """All of them in one commit: they are on the disk when this returns."""
        with self._committing(appends[-1].at_ms) as draft:
            draft.roll(limits)
            return tuple(draft.add(append) for append in appends)

    def keep(self, now_ms: int) -> None:
        """Make a checkpoint that stays."""
        with self._committing(now_ms) as draft:
            draft.keep()

    def expire(self, now_ms: int, limits: AuditLimits) -> int:
        """Delete segments that ended longer ago than the retention, and say so in the log. Returns how many records."""
        ended = [one for one in self._closed() if one.at_ms < now_ms - limits.retention_s * 1000]
        if not ended:
            return 0
        first, through = ended[0].first, ended[-1].sequence
        details = (("segments", len(ended)), ("first", first), ("through", through))
        with self._committing(now_ms) as draft:
            draft.add(Append(AuditEvent("audit.expire", "done", POTLUCK, details=details), now_ms))
            self._connection.execute("UPDATE log SET expired_through = ?", (through,))
            self._connection.execute("DELETE FROM records WHERE sequence <= ?", (through,))
            # The last of theirs stays: what is left follows it.
            self._connection.execute("DELETE FROM checkpoints WHERE sequence < ?", (through,))
        return through - first + 1

    def _closed(self) -> list[Statement]:
        """Closing checkpoints of segments that are still there, oldest first."""
        rows = self._connection.execute(
            "SELECT document FROM checkpoints WHERE closes AND sequence > (SELECT expired_through FROM log) "
            "ORDER BY sequence"
        )
        return [read(stored(row[0]), self._writing.key.public_key()) for row in rows]

    @contextmanager
    def _committing(self, now_ms: int) -> Iterator["_Draft"]:
        """What the block adds becomes true with the commit, and not before."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            draft = _Draft(connection, self._standing, self._writing, now_ms)
            yield draft
            standing = draft.signed()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back by itself where the disk is full
                connection.execute("ROLLBACK")
            raise
        self._standing = standing


class _Draft:
    """One transaction: how far the log will have come."""

    def __init__(self, connection: sqlite3.Connection, standing: _Standing, writing: Writing, now_ms: int) -> None:
        self._connection, self._writing, self._now_ms = connection, writing, now_ms
        self._chain, self._kept = standing.chain, standing.kept

    def add(self, append: Append) -> AuditRecord:
        sequence, personal = self._chain.sequence + 1, append.event.personal
        sealed = self._writing.sealer.seal(personal, sequence) if personal is not None else None
        record = record_of(append.event, sequence, append.at_ms, self._writing.node, sealed)
        link, self._chain = self._chain.linked(encode(record))
        self._connection.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?)", (link.sequence, link.previous, link.body, link.digest)
        )
        return record

    def roll(self, limits: AuditLimits) -> None:
        """End the segment if it is large enough or of another month."""
        chain = self._chain
        full = chain.tree.size >= limits.segment_records
        if chain.tree.size and (full or _month(chain.opened_ms) != _month(self._now_ms)):
            self.keep(closes=True)
            self._chain = chain.next_segment(self._now_ms)

    def keep(self, *, closes: bool = False) -> None:
        checkpoint = sign(self._chain.statement(self._now_ms, closes=closes), self._writing.key)
        # A closing one takes the place of one that was made of the same record before.
        values = (self._chain.sequence, closes, msgspec.json.encode(checkpoint))
        self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", values)
        self._kept = self._chain.sequence

    def signed(self) -> _Standing:
        tip = sign(self._chain.statement(self._now_ms), self._writing.key)
        self._connection.execute("UPDATE tip SET document = ?", (msgspec.json.encode(tip),))
        return _Standing(self._chain, tip, self._kept)


def known_version(connection: sqlite3.Connection, path: Path) -> int:
    """0 for a file in which there is nothing yet. Raises AuditVersionError."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise AuditVersionError(path, version)
    return version


def stored(document: bytes) -> Checkpoint:
    """A checkpoint as it lies in a database or an export. Raises BadCheckpointError."""
    try:
        return msgspec.json.decode(document, type=Checkpoint)
    except msgspec.MsgspecError as error:
        raise BadCheckpointError(str(error)) from error


def _create(connection: sqlite3.Connection, key: Ed25519PrivateKey, now_ms: int) -> None:
    """All of it, or nothing: another try begins anew."""
    log = secrets.token_hex(16)
    tip = msgspec.json.encode(sign(Chain.begin(log, now_ms).statement(now_ms), key)).hex()
    begun = f"INSERT INTO log VALUES (1, '{log}', {now_ms}, 0); INSERT INTO tip VALUES (1, x'{tip}');"
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {CREATE} {begun} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _resumed(connection: sqlite3.Connection, path: Path, key: Ed25519PrivateKey) -> _Standing:
    """Where the log stands, once its last segment is what its tip says. Raises AuditDamagedError."""
    try:
        tip = stored(connection.execute("SELECT document FROM tip").fetchone()[0])
        said = read(tip, key.public_key())
    except (BadCheckpointError, TypeError) as error:
        raise AuditDamagedError(path, f"its newest checkpoint is not signed with secrets/audit.key: {error}") from error
    tree, sequence = Tree(), said.first - 1
    rows = connection.execute(
        "SELECT sequence, digest FROM records WHERE sequence >= ? ORDER BY sequence", (said.first,)
    )
    for row in rows:
        sequence, tree = row[0], tree.with_leaf(bytes(row[1]))
    if tree.root.hex() != said.root or sequence != said.sequence:
        raise AuditDamagedError(path, f"its newest segment ends at record {sequence}, and {said.sequence} was signed")
    chain = Chain(said.log, said.segment, said.first, said.opened_ms, sequence, bytes.fromhex(said.digest), tree)
    kept = connection.execute("SELECT coalesce(max(sequence), 0) FROM checkpoints").fetchone()[0]
    return _Standing(chain, tip, kept)


def _month(at_ms: int) -> tuple[int, int]:
    instant = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return instant.year, instant.month
