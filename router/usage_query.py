"""Usage summed as it is asked for, from the hours of telemetry.db."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.private_database import refuse_exposed_database
from router.telemetry_schema import MIGRATIONS, TelemetryVersionError
from router.usage_reading import open_to_read
from router.usage_rollup import HOUR_S, SUM_COLUMNS, Sums

Dimension = Literal["tenant", "group", "key", "user", "model", "node", "hour", "day"]

_COLUMNS: dict[Dimension, str] = {
    "tenant": "tenant",
    "group": "group_name",
    "key": "key_id",
    "user": "user",
    "model": "model",
    "node": "node_id",
    "hour": "strftime('%Y-%m-%dT%H:%M:%SZ', hour_s, 'unixepoch')",
    "day": "date(hour_s, 'unixepoch')",
}
TIMES: frozenset[Dimension] = frozenset({"hour", "day"})
SUMMED_SINCE = 4  # schema: since then with all of the sums
_SUMS = ", ".join(f"sum({name})" for name in SUM_COLUMNS)


class NoUsageError(Exception):
    """Nothing was recorded here. Handled by the command: it prints this and exits 4."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"there is no usage at {path}: the gateway writes it, on its own machine, from its first start; "
            "start one with `potluck up`, or name its state directory with --state-dir"
        )
        self.path = path


class UsageUnreadableError(Exception):
    """SQLite cannot read what is there. Handled by the command: it prints this."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}); if that lasts, move it away: the gateway makes another")
        self.path, self.reason = path, reason


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which hours, summed by what. Whole hours: the last that begins before `until_s` is the last."""

    by: tuple[Dimension, ...]
    since_s: float
    until_s: float
    key_ids: tuple[str, ...] = ()  # none: every one
    group: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    of: tuple[str, ...]  # what each dimension of the query is, "" where there was none
    sums: Sums


def read_usage(path: Path, query: UsageQuery) -> list[UsageRow]:
    """In the order of what is asked for where time is among it, else the most tokens first.

    Raises NoUsageError, UsageUnreadableError, ExposedSecretError, TelemetryVersionError.
    """
    if not path.exists():
        raise NoUsageError(path)
    refuse_exposed_database(path)
    columns = ", ".join(_COLUMNS[dimension] for dimension in query.by)
    places = ", ".join(str(number + 1) for number in range(len(query.by)))
    where, values = _conditions(query)
    statement = f"SELECT {columns}, {_SUMS} FROM usage_hours WHERE {where} GROUP BY {places}"
    try:
        with closing(open_to_read(path)) as connection:
            if not _has_usage(connection, path):
                raise NoUsageError(path)
            found = connection.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise UsageUnreadableError(path, str(error)) from error
    width = len(query.by)
    rows = [UsageRow(row[:width], Sums(*row[width:])) for row in found]
    if TIMES & set(query.by):
        return sorted(rows, key=lambda row: row.of)
    return sorted(rows, key=lambda row: (-row.sums.input_tokens - row.sums.output_tokens, row.of))


def total_of(rows: Sequence[UsageRow]) -> Sums:
    return Sums(*(sum(getattr(row.sums, name) for row in rows) for name in SUM_COLUMNS))


def _has_usage(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a gateway that sums has written it; one of an earlier potluck has not."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise TelemetryVersionError(path, version)
    return version >= SUMMED_SINCE


def _conditions(query: UsageQuery) -> tuple[str, list[str | float]]:
    conditions = ["hour_s > ?", "hour_s < ?"]
    values: list[str | float] = [query.since_s - HOUR_S, query.until_s]
    if query.key_ids:
        conditions.append(f"key_id IN ({', '.join('?' * len(query.key_ids))})")
        values.extend(query.key_ids)
    for column, wanted in (("group_name", query.group), ("model", query.model)):
        if wanted is not None:
            conditions.append(f"{column} = ?")
            values.append(wanted)
    return " AND ".join(conditions), values
