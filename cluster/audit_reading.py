"""audit.db from outside its writer: read only, while it is written or when nobody does."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.audit_chain import Checkpoint, Link
from cluster.audit_store import known_version, stored
from cluster.audit_verify import Evidence, Voucher
from cluster.private_database import refuse_exposed_database

KEEPER = "audit.db"


class NoAuditError(Exception):
    """There is no audit here. Handled by the command: it prints this and exits 4."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no audit at {path}; the head writes one from its first start, on its own machine")
        self.path = path


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint in its place. `sequence` is what its row says: its own text is what counts."""

    sequence: int
    checkpoint: Checkpoint


class AuditReader:
    """One view of the log from first to last, however long the reading takes. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> "AuditReader":
        """Raises NoAuditError, AuditVersionError, ExposedSecretError."""
        if not path.exists():
            raise NoAuditError(path)
        refuse_exposed_database(path)
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        reader = cls(connection)
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            made = known_version(connection, path)
            if made:
                reader.again()
        except BaseException:
            connection.close()
            raise
        if not made:
            connection.close()
            raise NoAuditError(path)
        return reader

    def close(self) -> None:
        self._connection.close()

    def again(self) -> None:
        """Look at the log as it is at this moment."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT log FROM log").fetchone()  # the view is of the first look, not of BEGIN

    @property
    def log(self) -> str:
        return str(self._connection.execute("SELECT log FROM log").fetchone()[0])

    @property
    def first(self) -> int:
        """The first record that should be there, or the next that will be."""
        return self._expired() + 1

    @property
    def last(self) -> int:
        row = self._connection.execute("SELECT max(sequence) FROM records").fetchone()
        return int(row[0]) if row[0] is not None else self._expired()

    def tip(self) -> Checkpoint:
        """Raises BadCheckpointError."""
        row = self._connection.execute("SELECT document FROM tip").fetchone()
        return stored(row[0] if row else b"")

    def kept(self) -> tuple[Kept, ...]:
        """Raises BadCheckpointError."""
        rows = self._connection.execute("SELECT sequence, document FROM checkpoints ORDER BY sequence")
        return tuple(Kept(row[0], stored(row[1])) for row in rows)

    def links(self, first: int = 0, last: int | None = None) -> Iterator[Link]:
        rows = self._connection.execute(
            "SELECT sequence, previous, body, digest FROM records WHERE sequence >= ? AND sequence <= ? "
            "ORDER BY sequence",
            (first, self.last if last is None else last),
        )
        return (Link(row[0], bytes(row[1]), bytes(row[2]), bytes(row[3])) for row in rows)

    def evidence(self, copies: tuple[Voucher, ...] = ()) -> Evidence:
        """Raises BadCheckpointError."""
        own = [Voucher(kept.checkpoint, KEEPER) for kept in self.kept()]
        return Evidence(self.log, (*own, Voucher(self.tip(), KEEPER), *copies), self.first)

    def _expired(self) -> int:
        return int(self._connection.execute("SELECT expired_through FROM log").fetchone()[0])
