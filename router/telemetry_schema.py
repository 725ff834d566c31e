"""telemetry.db as a file: its numbered migrations, and how it is opened to be written."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from cluster.private_database import connect_private

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
    # 2: sums by the hour, which outlive the rows they were made of. What is there is summed once, by the rules of
    # router/usage_rollup.py at that time.
    """
    CREATE TABLE usage_hours (
        hour_s INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        group_name TEXT NOT NULL,
        key_id TEXT NOT NULL,
        user TEXT NOT NULL,
        model TEXT NOT NULL,
        node_id TEXT NOT NULL,
        requests INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        cancelled INTEGER NOT NULL,
        inexact INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (hour_s, tenant, group_name, key_id, user, model, node_id)
    ) STRICT, WITHOUT ROWID;

    INSERT INTO usage_hours
    SELECT CAST(arrived_s / 3600 AS INTEGER) * 3600, tenant, json_extract(record, '$.group'), key_id,
        ifnull(json_extract(record, '$.user'), ''), model, ifnull(node_id, ''),
        count(*),
        total(outcome IN ('client_error', 'rate_limited', 'no_capacity')),
        total(outcome IN ('node_lost', 'timeout')),
        total(outcome = 'cancelled'),
        total(ifnull(json_extract(record, '$.tokens_exact'), 0) = 0
            AND ifnull(json_extract(record, '$.attempts'), 0) > 0
            AND outcome IN ('ok', 'node_lost', 'timeout', 'cancelled')),
        total(input_tokens), total(json_extract(record, '$.cached_tokens')), total(output_tokens), 0,
        total(json_extract(record, '$.duration_s'))
    FROM requests GROUP BY 1, 2, 3, 4, 5, 6, 7;
    """,
    # 3: one row a decision, as router/decision_record.py packs it; columns for what is asked of many at once. Ids begin
    # with a time, so that their index grows at its end, which costs little.
    """
    CREATE TABLE decisions (
        sequence INTEGER PRIMARY KEY,
        decided_s REAL NOT NULL,
        request_id TEXT NOT NULL,
        model TEXT NOT NULL,
        node_id TEXT NOT NULL,
        predicted_s REAL,
        observed_s REAL,
        record BLOB NOT NULL
    ) STRICT;

    CREATE INDEX decisions_by_request ON decisions (request_id);
    """,
    # 4: answers that were given again, among the sums.
    """
    ALTER TABLE usage_hours ADD COLUMN cache_hits INTEGER NOT NULL DEFAULT 0;
    """,
    # 5: the same columns as a view. A computed column is computed for each row that is written, too, for a strict table
    # checks its type: that cost more than all else of the row. And no index on ids: each says when it was made, so its
    # row can be found without one.
    """
    ALTER TABLE requests DROP COLUMN tenant;
    ALTER TABLE requests DROP COLUMN key_id;
    ALTER TABLE requests DROP COLUMN model;
    ALTER TABLE requests DROP COLUMN node_id;
    ALTER TABLE requests DROP COLUMN outcome;
    ALTER TABLE requests DROP COLUMN input_tokens;
    ALTER TABLE requests DROP COLUMN output_tokens;

    CREATE VIEW request_facts AS
    SELECT sequence, arrived_s, record,
        json_extract(record, '$.tenant') AS tenant,
        json_extract(record, '$.key_id') AS key_id,
        json_extract(record, '$.model') AS model,
        json_extract(record, '$.node_id') AS node_id,
        json_extract(record, '$.outcome') AS outcome,
        json_extract(record, '$.input_tokens') AS input_tokens,
        json_extract(record, '$.output_tokens') AS output_tokens
    FROM requests;

    DROP INDEX decisions_by_request;
    """,
)


class TelemetryVersionError(Exception):
    """The database is of a later potluck. Handled by the command that started the gateway: it prints this."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} has schema {version}, this potluck knows {len(MIGRATIONS)}; upgrade, or move it away")
        self.path, self.version = path, version


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create, and bring the schema up to date. Raises TelemetryVersionError."""
    connection = connect_private(path)
    # Of a file that is made now. Rows are added at the end only: pages four times as large take a third less to write.
    connection.execute("PRAGMA page_size=16384")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=2000")  # pages: 32 MB, a checkpoint every few ten thousand requests
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        connection.close()
        raise TelemetryVersionError(path, version)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")
    return connection
