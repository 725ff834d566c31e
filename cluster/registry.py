"""registry.db: what the head must not forget. Keys, configuration revisions, the controller's epoch, nodes.

SQLite in WAL mode with synchronous=FULL: a committed row survives a power cut. The head is the only writer and holds
one connection; each method is one transaction.
"""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.private_cleaning import clean, note
from cluster.private_database import open_private
from inventory.clock import Clock
from nodes.snapshot import NodeId

# Numbered from 1. A committed migration is never edited; a change is another entry.
MIGRATIONS = (
    """
    CREATE TABLE epoch (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value INTEGER NOT NULL) STRICT;
    INSERT INTO epoch VALUES (1, 0);
    CREATE TABLE config_revisions (
        revision INTEGER PRIMARY KEY, config_hash TEXT NOT NULL, text TEXT NOT NULL, applied_s INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (
        key_id TEXT PRIMARY KEY, digest_hex TEXT NOT NULL, role TEXT NOT NULL, tenant TEXT NOT NULL,
        key_group TEXT NOT NULL, data_class TEXT NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER
    ) STRICT;
    CREATE TABLE nodes (node_id TEXT PRIMARY KEY, link TEXT NOT NULL, first_seen_s INTEGER NOT NULL) STRICT;
    """,
    """
    CREATE TABLE join_tokens (
        token_id TEXT PRIMARY KEY, node_id TEXT NOT NULL, verifier_hex TEXT NOT NULL, created_s INTEGER NOT NULL,
        expires_s INTEGER NOT NULL, used_s INTEGER
    ) STRICT;
    CREATE TABLE certificates (
        serial TEXT PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, expires_s INTEGER NOT NULL, revoked_s INTEGER
    ) STRICT;
    CREATE TABLE revocations (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), revision INTEGER NOT NULL) STRICT;
    INSERT INTO revocations VALUES (1, 0);
    CREATE TABLE members (
        node_id TEXT PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL, joined_s INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE node_wishes (
        node_id TEXT PRIMARY KEY, duty TEXT NOT NULL, since_s REAL NOT NULL, labels TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE load_times (
        node_id TEXT NOT NULL, artifact_id TEXT NOT NULL, engine_kind TEXT NOT NULL, seconds REAL NOT NULL,
        at_s REAL NOT NULL
    ) STRICT;
    CREATE INDEX load_times_by_key ON load_times (node_id, artifact_id, engine_kind);
    """,
    """
    CREATE TABLE memory_ledger (
        node_id TEXT NOT NULL, engine_id TEXT NOT NULL, generation INTEGER NOT NULL, pid INTEGER NOT NULL,
        engine_kind TEXT NOT NULL, version TEXT NOT NULL, accelerated INTEGER NOT NULL, model TEXT NOT NULL,
        artifact_id TEXT NOT NULL, facts TEXT NOT NULL, peak_bytes INTEGER NOT NULL, served INTEGER NOT NULL,
        at_s REAL NOT NULL, PRIMARY KEY (node_id, engine_id, generation, pid)
    ) STRICT;
    """,
    """
    ALTER TABLE keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
    ALTER TABLE keys ADD COLUMN scopes TEXT;
    ALTER TABLE keys ADD COLUMN models TEXT;
    ALTER TABLE keys ADD COLUMN front_end INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN revoked_s INTEGER;
    UPDATE keys SET name = 'owner' WHERE tenant = 'owner';
    CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE revoked_s IS NULL;
    """,
    "ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE keys ADD COLUMN answers_kept_s INTEGER",
    "ALTER TABLE keys ADD COLUMN totp TEXT",
    "CREATE TABLE models_away (model TEXT PRIMARY KEY, since_s REAL NOT NULL) STRICT",
    "ALTER TABLE keys ADD COLUMN pii TEXT",
    "CREATE TABLE key_lines (key_id TEXT PRIMARY KEY, line TEXT NOT NULL) STRICT",
)


class RegistryVersionError(Exception):
    """registry.db was written by a later potluck. Handled by the head: it prints this and exits 1."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(
            f"{path} has schema {version}, and this potluck knows up to {len(MIGRATIONS)}; "
            "run the version that wrote it, or a later one"
        )
        self.path, self.version = path, version


@dataclass(frozen=True, slots=True)
class ConfigRevision:
    revision: int
    config_hash: str
    text: str
    applied_s: int


class Registry:
    """Open with `Registry.open`, use from one thread, close at the end."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    @classmethod
    def open(cls, path: Path, clock: Clock) -> "Registry":
        """Brings its schema up to date. Raises RegistryVersionError."""
        connection = open_private(path)
        try:
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, clock)

    def close(self) -> None:
        self._connection.close()

    def next_epoch(self) -> int:
        """More than any epoch before it, across restarts. A node refuses orders of lower ones.

        At least the wall clock's seconds, so that a registry from a backup is not older than its nodes' memory.
        """
        with self.transaction() as connection:
            row = connection.execute(
                "UPDATE epoch SET value = max(value + 1, ?) RETURNING value", (int(self._clock.wall_s()),)
            ).fetchone()
        return int(row[0])

    def latest_revision(self) -> ConfigRevision | None:
        row = self._connection.execute(
            "SELECT revision, config_hash, text, applied_s FROM config_revisions ORDER BY revision DESC LIMIT 1"
        ).fetchone()
        return ConfigRevision(*row) if row else None

    def note_config(self, config_hash: str, text: str) -> int:
        """The revision of this text: the current one if it has not changed, else the next."""
        with self.transaction() as connection:
            latest = self.latest_revision()
            if latest is not None and latest.config_hash == config_hash:
                return latest.revision
            revision = latest.revision + 1 if latest else 1
            values = (revision, config_hash, text, int(self._clock.wall_s()))
            connection.execute("INSERT INTO config_revisions VALUES (?, ?, ?, ?)", values)
        return revision

    def revisions_with(self, said: Callable[[str], bool]) -> tuple[int, ...]:
        """Those before the current one whose text says so."""
        rows = self._connection.execute(
            "SELECT revision, text FROM config_revisions WHERE revision < (SELECT max(revision) FROM config_revisions)"
        ).fetchall()
        return tuple(revision for revision, text in rows if said(text))

    def revision_text(self, revision: int) -> str:
        row = self._connection.execute("SELECT text FROM config_revisions WHERE revision = ?", (revision,)).fetchone()
        return str(row[0])

    def forget_revision(self, revision: int) -> None:
        """Its text; that there was one stays."""
        with self.transaction() as connection:
            connection.execute("UPDATE config_revisions SET text = '' WHERE revision = ?", (revision,))

    def clean(self, erasure_id: str) -> None:
        """No byte of what was overwritten is left. Raises sqlite3.Error, NotCleanError."""
        note(self._connection, erasure_id)
        clean(self._connection, "registry.db")

    def note_node(self, node_id: NodeId, link: str) -> None:
        """Remember that this node has been part of the cluster, and since when."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO nodes VALUES (?, ?, ?) ON CONFLICT (node_id) DO UPDATE SET link = excluded.link",
                (node_id, link, int(self._clock.wall_s())),
            )

    def known_nodes(self) -> tuple[NodeId, ...]:
        return tuple(NodeId(row[0]) for row in self._connection.execute("SELECT node_id FROM nodes ORDER BY node_id"))

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """For records that have a module of their own, such as cluster.join_records. All of the block, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise RegistryVersionError(path, version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
