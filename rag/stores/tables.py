"""The tables of the embedded store: one SQLite file for every tenant, and rows as values.

Words are indexed for each space by itself: how rare a word is depends on a space's own texts, and tells nobody what
others wrote. Vectors are float16, apart from texts, in the order in which a search reads them.
"""

import json
import sqlite3
from pathlib import Path

from cluster.knowledge import Locator
from cluster.private_database import SchemaTooNewError, open_tables
from rag.stores.contract import StoreError, UnknownSpaceError
from rag.values import Chunk, NewChunk, NewDocument, Space, SpaceId, Version, chunk_id_of
from rag.words import BEGINNING

SCHEMA = 1
_TABLES = """
    CREATE TABLE spaces (
        space_row INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        encoder TEXT NOT NULL,
        dimensions INTEGER NOT NULL,
        data_class TEXT NOT NULL,
        description TEXT NOT NULL,
        made_s REAL NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0,
        removals INTEGER NOT NULL DEFAULT 0,
        UNIQUE (tenant, name)
    ) STRICT;
    CREATE TABLE documents (
        document_row INTEGER PRIMARY KEY AUTOINCREMENT,
        space_row INTEGER NOT NULL REFERENCES spaces ON DELETE CASCADE,
        document_id TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (space_row, document_id)
    ) STRICT;
    CREATE TABLE versions (
        version_row INTEGER PRIMARY KEY AUTOINCREMENT,
        space_row INTEGER NOT NULL,
        document_row INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
        number INTEGER NOT NULL,
        content_hash TEXT NOT NULL,
        title TEXT NOT NULL,
        media_type TEXT NOT NULL,
        language TEXT NOT NULL,
        data_class TEXT NOT NULL,
        attributes TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        made_s REAL NOT NULL,
        ended_s REAL,
        UNIQUE (document_row, number)
    ) STRICT;
    CREATE INDEX versions_by_space ON versions (space_row);
    CREATE TABLE chunks (
        chunk_row INTEGER PRIMARY KEY AUTOINCREMENT,
        version_row INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        first INTEGER NOT NULL,
        past INTEGER NOT NULL,
        locator_kind TEXT NOT NULL,
        locator_value TEXT NOT NULL,
        heading TEXT NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (version_row, ordinal)
    ) STRICT;
    CREATE TABLE vectors (
        space_row INTEGER NOT NULL,
        chunk_row INTEGER NOT NULL REFERENCES chunks ON DELETE CASCADE,
        version_row INTEGER NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (space_row, chunk_row)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX vectors_by_chunk ON vectors (chunk_row);
"""
_WORDS = """
    CREATE VIRTUAL TABLE words_{space_row} USING fts5 (
        heading, text, content = 'chunks', content_rowid = 'chunk_row', tokenize = 'unicode61 remove_diacritics 2',
        prefix = '{beginning}'
    )
"""
VERSION_COLUMNS = (
    "version_row, document_id, number, name, content_hash, title, media_type, language, data_class, attributes, "
    "size_bytes, chunks, made_s, ended_s"
)
CHUNK_COLUMNS = "ordinal, text, first, past, locator_kind, locator_value, heading"


def open_store(path: Path) -> sqlite3.Connection:
    """Raises StoreError, ExposedSecretError."""
    try:
        connection = open_tables(path, _TABLES, SCHEMA)
    except (sqlite3.Error, OSError, SchemaTooNewError) as error:
        raise StoreError(f"{path} cannot be used ({error})") from error
    connection.row_factory = sqlite3.Row
    return connection


def add_words(connection: sqlite3.Connection, space_row: int) -> None:
    connection.execute(_WORDS.format(space_row=space_row, beginning=BEGINNING))


def find_space(connection: sqlite3.Connection, space_id: SpaceId) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM spaces WHERE tenant = ? AND name = ?", (space_id.tenant, space_id.name)
    ).fetchone()
    return row


def space_row(connection: sqlite3.Connection, space_id: SpaceId) -> sqlite3.Row:
    """Raises UnknownSpaceError."""
    row = find_space(connection, space_id)
    if row is None:
        raise UnknownSpaceError(space_id)
    return row


def space_of(row: sqlite3.Row) -> Space:
    return Space(
        SpaceId(row["tenant"], row["name"]), row["encoder"], row["dimensions"], row["data_class"], row["made_s"],
        row["description"],
    )  # fmt: skip


def version_of(space_id: SpaceId, row: sqlite3.Row) -> Version:
    document = NewDocument(
        name=row["name"],
        content_hash=row["content_hash"],
        title=row["title"],
        media_type=row["media_type"],
        language=row["language"],
        data_class=row["data_class"],
        attributes=json.loads(row["attributes"]),
        size_bytes=row["size_bytes"],
    )
    return Version(
        space_id, row["document_id"], row["number"], document, row["made_s"], row["ended_s"], row["chunks"]
    )  # fmt: skip


def chunk_of(version: Version, row: sqlite3.Row) -> Chunk:
    content = NewChunk(
        row["text"], row["first"], row["past"], Locator(row["locator_kind"], row["locator_value"]), row["heading"]
    )
    return Chunk(chunk_id_of(version.document_id, version.number, row["ordinal"]), row["ordinal"], content)
