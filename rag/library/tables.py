"""The tables of library.db: stores, their files, folders, and which stores are usual.

Facts that are asked for stand in columns; the row itself is JSON, so that a field more needs no migration.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cluster.grants import EVERYONE
from cluster.key_order import OWNER
from cluster.knowledge import KnowledgeError
from cluster.private_database import SchemaTooNewError, open_tables

SCHEMA = 3
_TABLES = """
    CREATE TABLE stores (
        store_id TEXT NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL,
        made_s REAL NOT NULL,
        leaving INTEGER NOT NULL DEFAULT 0,
        row BLOB NOT NULL
    ) STRICT;
    CREATE INDEX stores_by_tenant ON stores (tenant, made_s);
    CREATE TABLE files (
        file_row INTEGER PRIMARY KEY AUTOINCREMENT,
        store_id TEXT NOT NULL REFERENCES stores ON DELETE CASCADE,
        file_id TEXT NOT NULL,
        tenant TEXT NOT NULL,
        document TEXT NOT NULL,
        status TEXT NOT NULL,
        asked_s REAL NOT NULL,
        next_s REAL NOT NULL,
        batch_id TEXT,
        folder_id TEXT,
        size_bytes INTEGER NOT NULL,
        leaving INTEGER NOT NULL DEFAULT 0,
        row BLOB NOT NULL,
        UNIQUE (store_id, file_id),
        UNIQUE (store_id, document)
    ) STRICT;
    CREATE INDEX files_to_read ON files (tenant, asked_s) WHERE status = 'in_progress' AND NOT leaving;
    CREATE INDEX files_standing ON files (store_id, leaving, status, size_bytes);
    CREATE INDEX files_by_id ON files (file_id);
    CREATE INDEX files_by_folder ON files (folder_id) WHERE folder_id IS NOT NULL;
    CREATE TABLE folders (
        folder_id TEXT NOT NULL PRIMARY KEY,
        store_id TEXT NOT NULL REFERENCES stores ON DELETE CASCADE,
        tenant TEXT NOT NULL,
        row BLOB NOT NULL
    ) STRICT;
    CREATE TABLE usual (
        store_id TEXT NOT NULL REFERENCES stores ON DELETE CASCADE,
        row BLOB NOT NULL
    ) STRICT;
    CREATE INDEX usual_by_store ON usual (store_id);
"""
# What there was before stores had owners and readers: whoever made one owns it, and his tenant reads it as before. And
# what the owner's key shared with `everyone` while that was nobody else: it stays his alone until he says so again.
_SINCE: Mapping[int, str] = MappingProxyType(
    {
        1: """
            UPDATE stores SET row = CAST(json_set(
                CAST(row AS TEXT),
                '$.owners', json_array(iif(
                    coalesce(json_extract(CAST(row AS TEXT), '$.reader.user'), '') = '',
                    'key:' || json_extract(CAST(row AS TEXT), '$.reader.key_id'),
                    'user:' || json_extract(CAST(row AS TEXT), '$.reader.user')
                )),
                '$.readers', json_array('everyone'),
                '$.data_class', json_extract(CAST(row AS TEXT), '$.reader.data_class')
            ) AS BLOB)
        """,
        2: f"""
            UPDATE stores SET row = CAST(json_set(
                CAST(row AS TEXT),
                '$.owners', json((SELECT json_group_array(value) FROM json_each(CAST(row AS TEXT), '$.owners')
                    WHERE value <> '{EVERYONE}')),
                '$.readers', json((SELECT json_group_array(value) FROM json_each(CAST(row AS TEXT), '$.readers')
                    WHERE value <> '{EVERYONE}'))
            ) AS BLOB) WHERE tenant = '{OWNER}'
        """,
    }
)


def open_library(path: Path) -> sqlite3.Connection:
    """Raises KnowledgeError, ExposedSecretError."""
    try:
        return open_tables(path, _TABLES, SCHEMA, _SINCE)
    except SchemaTooNewError as error:
        raise KnowledgeError("broken", "library_too_new", str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise KnowledgeError("broken", "library_failed", f"{path} cannot be used ({error})") from error
