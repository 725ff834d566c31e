"""What changes the embedded store: each change one transaction, with texts, words and vectors together."""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from cluster.knowledge import Attribute
from cluster.private_cleaning import NotCleanError, clean
from cluster.private_database import changing
from inventory.clock import Clock
from rag.stores.contract import OtherEncoderError, OutOfOrderError, StoreError, WholeVersion
from rag.stores.matrix import STORED
from rag.stores.tables import VERSION_COLUMNS, add_words, find_space, open_store, space_of, space_row, version_of
from rag.values import NewChunk, NewDocument, Space, SpaceId, Vectors, Version, document_id_of


class EmbeddedWriter:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._connection = open_store(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def make_space(self, space: Space) -> Space:
        """Raises OtherEncoderError."""
        with self._change() as connection:
            row = find_space(connection, space.space_id)
            if row is not None:
                found = space_of(row)
                if (found.encoder, found.dimensions) != (space.encoder, space.dimensions):
                    raise OtherEncoderError(found, space.encoder, space.dimensions)
                return found
            made_s = self._clock.wall_s()
            made = connection.execute(
                "INSERT INTO spaces (tenant, name, encoder, dimensions, data_class, description, made_s) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING space_row",
                (space.space_id.tenant, space.space_id.name, space.encoder, space.dimensions, space.data_class,
                 space.description, made_s),
            ).fetchone()[0]  # fmt: skip
            add_words(connection, made)
            return replace(space, made_s=made_s)

    def drop_space(self, space_id: SpaceId) -> bool:
        with self._change() as connection:
            row = find_space(connection, space_id)
            if row is None:
                return False
            connection.execute(f"DROP TABLE words_{row['space_row']}")
            connection.execute("DELETE FROM spaces WHERE space_row = ?", (row["space_row"],))
            return True

    def put(self, space_id: SpaceId, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors) -> Version:
        """Raises UnknownSpaceError; ValueError where vectors and chunks do not go together."""
        with self._change() as connection:
            space = space_row(connection, space_id)
            if vectors.shape != (len(chunks), space["dimensions"]):
                raise ValueError(f"vectors of shape {vectors.shape} for {len(chunks)} chunks of {space['dimensions']}")
            document_row = _document_row(connection, space["space_row"], space_id, document.name)
            newest = _newest(connection, document_row)
            if newest is not None and newest["content_hash"] == document.content_hash:
                return version_of(space_id, newest)
            now_s = self._clock.wall_s()
            if newest is not None:
                now_s = max(now_s, newest["made_s"])  # a clock that was set back makes no version that never held
                _end(connection, newest["version_row"], now_s)
            number = 1 if newest is None else newest["number"] + 1
            row = (space["space_row"], document_row, number, len(chunks), now_s)
            version_row = _add_version(connection, row, document)
            _add_chunks(connection, space["space_row"], version_row, chunks, vectors)
            connection.execute("UPDATE spaces SET revision = revision + 1 WHERE space_row = ?", (space["space_row"],))
            added = _newest(connection, document_row)
            assert added is not None
            return version_of(space_id, added)

    def describe(self, space_id: SpaceId, document_id: str, attributes: Mapping[str, Attribute]) -> bool:
        """Raises UnknownSpaceError."""
        with self._change() as connection:
            space = space_row(connection, space_id)
            row = connection.execute(
                "SELECT version_row FROM versions JOIN documents USING (document_row) "
                "WHERE versions.space_row = ? AND document_id = ? AND ended_s IS NULL",
                (space["space_row"], document_id),
            ).fetchone()
            if row is None:
                return False
            _describe(connection, row["version_row"], attributes)
            connection.execute("UPDATE spaces SET revision = revision + 1 WHERE space_row = ?", (space["space_row"],))
            return True

    def restore(self, whole: WholeVersion) -> Version:
        """Raises UnknownSpaceError, OutOfOrderError."""
        told = whole.version
        with self._change() as connection:
            space = space_row(connection, told.space_id)
            document_row = _document_row(connection, space["space_row"], told.space_id, told.document.name)
            there = _version(connection, document_row, told.number)
            if there is not None and there["content_hash"] == told.document.content_hash:
                _describe(connection, there["version_row"], told.document.attributes)  # both may have changed since
                if told.ended_s is not None:
                    _end(connection, there["version_row"], told.ended_s)
            else:
                newest = _newest(connection, document_row)
                last = 0 if newest is None else newest["number"]
                if last != whole.after:
                    raise OutOfOrderError(told, last)
                if newest is not None:
                    _end(connection, newest["version_row"], told.made_s)
                row = (space["space_row"], document_row, told.number, len(whole.chunks), told.made_s)
                version_row = _add_version(connection, row, told.document)
                _end(connection, version_row, told.ended_s)
                _add_chunks(connection, space["space_row"], version_row, whole.chunks, whole.vectors)
            connection.execute("UPDATE spaces SET revision = revision + 1 WHERE space_row = ?", (space["space_row"],))
            restored = _version(connection, document_row, told.number)
            assert restored is not None
            return version_of(told.space_id, restored)

    def remove(self, space_id: SpaceId, document_id: str) -> bool:
        """Raises UnknownSpaceError."""
        with self._change() as connection:
            space = space_row(connection, space_id)
            row = connection.execute(
                "SELECT document_row FROM documents WHERE space_row = ? AND document_id = ?",
                (space["space_row"], document_id),
            ).fetchone()
            if row is None:
                return False
            _forget_words(connection, space["space_row"], "document_row = ?", row["document_row"])
            connection.execute("DELETE FROM documents WHERE document_row = ?", (row["document_row"],))
            _count_removal(connection, space["space_row"])
            return True

    def forget_versions(self, space_id: SpaceId, document_id: str, numbers: Collection[int]) -> int:
        """Raises UnknownSpaceError."""
        with self._change() as connection:
            space = space_row(connection, space_id)
            rows = connection.execute(
                "SELECT version_row FROM versions JOIN documents USING (document_row) WHERE versions.space_row = ? "
                "AND document_id = ? AND ended_s IS NOT NULL AND number IN (SELECT value FROM json_each(?)) "
                "AND number < (SELECT max(number) FROM versions AS every "
                "WHERE every.document_row = documents.document_row)",
                (space["space_row"], document_id, json.dumps(sorted(numbers))),
            ).fetchall()
            for (version_row,) in rows:
                _forget_words(connection, space["space_row"], "version_row = ?", version_row)
                connection.execute("DELETE FROM versions WHERE version_row = ?", (version_row,))
            if rows:
                _count_removal(connection, space["space_row"])
            return len(rows)

    def scrub(self, space_id: SpaceId) -> None:
        """Of the words that are indexed: what was removed is only marked in them until they are written anew. Raises
        UnknownSpaceError."""
        with self._change() as connection:
            _write_words_anew(connection, space_row(connection, space_id)["space_row"])

    def clean(self) -> None:
        """All words that are indexed are written anew as well: what was removed long ago may be marked in them only."""
        with self._change() as connection:
            for (row,) in connection.execute("SELECT space_row FROM spaces").fetchall():
                _write_words_anew(connection, row)
        with self._lock:
            try:
                clean(self._connection, str(self._path))
            except (sqlite3.Error, NotCleanError) as error:
                raise StoreError(f"{self._path} still has bytes of what was removed ({error})") from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction, which is there whole when this returns. Raises StoreError."""
        with self._lock:
            try:
                with changing(self._connection) as connection:
                    yield connection
            except sqlite3.Error as error:
                raise StoreError(f"{self._path} was not changed ({error})") from error


def _write_words_anew(connection: sqlite3.Connection, space_row: int) -> None:
    """Not by FTS5's `rebuild`: that reads all of `chunks`, which has those of other spaces too."""
    words = f"words_{space_row}"
    connection.execute(f"INSERT INTO {words} ({words}) VALUES ('delete-all')")
    connection.execute(
        f"INSERT INTO {words} (rowid, heading, text) SELECT chunk_row, heading, text FROM chunks "
        "JOIN versions USING (version_row) WHERE versions.space_row = ? ORDER BY chunk_row",
        (space_row,),
    )


def _forget_words(connection: sqlite3.Connection, space_row: int, of: str, row: int) -> None:
    """Of chunks that are about to go: their texts are what the index is told to forget."""
    connection.execute(
        f"INSERT INTO words_{space_row} (words_{space_row}, rowid, heading, text) "
        f"SELECT 'delete', chunk_row, heading, text FROM chunks JOIN versions USING (version_row) WHERE {of}",
        (row,),
    )


def _count_removal(connection: sqlite3.Connection, space_row: int) -> None:
    connection.execute(
        "UPDATE spaces SET revision = revision + 1, removals = removals + 1 WHERE space_row = ?", (space_row,)
    )


def _document_row(connection: sqlite3.Connection, space_row: int, space_id: SpaceId, name: str) -> int:
    document_id = document_id_of(space_id, name)
    connection.execute(
        "INSERT INTO documents (space_row, document_id, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (space_row, document_id, name),
    )
    row: int = connection.execute(
        "SELECT document_row FROM documents WHERE space_row = ? AND document_id = ?", (space_row, document_id)
    ).fetchone()[0]
    return row


def _newest(connection: sqlite3.Connection, document_row: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        f"SELECT {VERSION_COLUMNS} FROM versions JOIN documents USING (document_row) "
        "WHERE document_row = ? ORDER BY number DESC LIMIT 1",
        (document_row,),
    ).fetchone()
    return row


def _version(connection: sqlite3.Connection, document_row: int, number: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        f"SELECT {VERSION_COLUMNS} FROM versions JOIN documents USING (document_row) "
        "WHERE document_row = ? AND number = ?",
        (document_row, number),
    ).fetchone()
    return row


def _describe(connection: sqlite3.Connection, version_row: int, attributes: Mapping[str, Attribute]) -> None:
    connection.execute(
        "UPDATE versions SET attributes = ? WHERE version_row = ?", (json.dumps(dict(attributes)), version_row)
    )


def _end(connection: sqlite3.Connection, version_row: int, ended_s: float | None) -> None:
    connection.execute("UPDATE versions SET ended_s = ? WHERE version_row = ?", (ended_s, version_row))


def _add_version(connection: sqlite3.Connection, row: tuple[int, int, int, int, float], document: NewDocument) -> int:
    version_row: int = connection.execute(
        "INSERT INTO versions (space_row, document_row, number, chunks, made_s, content_hash, title, media_type, "
        "language, data_class, attributes, size_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "RETURNING version_row",
        (*row, document.content_hash, document.title, document.media_type, document.language, document.data_class,
         json.dumps(dict(document.attributes)), document.size_bytes),
    ).fetchone()[0]  # fmt: skip
    return version_row


def _add_chunks(
    connection: sqlite3.Connection,
    space_row: int,
    version_row: int,
    chunks: Sequence[NewChunk],
    vectors: Vectors,
) -> None:
    for ordinal, (chunk, vector) in enumerate(zip(chunks, vectors.astype(STORED), strict=True)):
        place = chunk.locator
        (chunk_row,) = connection.execute(
            "INSERT INTO chunks (version_row, ordinal, first, past, locator_kind, locator_value, heading, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING chunk_row",
            (version_row, ordinal, chunk.start, chunk.end, place.kind, place.value, chunk.heading, chunk.text),
        ).fetchone()
        connection.execute(
            "INSERT INTO vectors (space_row, chunk_row, version_row, vector) VALUES (?, ?, ?, ?)",
            (space_row, chunk_row, version_row, np.ascontiguousarray(vector).tobytes()),
        )
        connection.execute(
            f"INSERT INTO words_{space_row} (rowid, heading, text) VALUES (?, ?, ?)",
            (chunk_row, chunk.heading, chunk.text),
        )
