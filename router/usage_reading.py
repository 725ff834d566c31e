"""What was used since a moment, by telemetry.db: how a gateway that starts anew knows the day so far."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from router.usage_rollup import HOUR_S, REFUSED

# Rows are in the order in which requests ended, and no request lasts this long: four times what a gateway allows, for a
# clock that was set back. So a row that arrived this long before a moment, or after it, has all on its side with it.
LONGEST_S = 2 * 3600.0


class Consumer(NamedTuple):
    """Whose usage: as a request's identity says."""

    tenant: str
    group: str
    key_id: str
    user: str | None


class Used(NamedTuple):
    requests: int
    tokens: int  # in and out, as far as they are known


_ROW_AT = "SELECT sequence, {time} FROM {table} WHERE sequence >= ? ORDER BY sequence LIMIT 1"
_ROWS = "SELECT ifnull(min(sequence), 0), ifnull(max(sequence), 0) + 1 FROM {table}"
_IN_HOURS = """
    SELECT tenant, group_name, key_id, nullif(user, '') AS user,
        requests - refused AS begun, input_tokens + output_tokens AS tokens
    FROM usage_hours WHERE hour_s >= ?
"""
_IN_ROWS = f"""
    SELECT tenant, json_extract(record, '$.group'), key_id, json_extract(record, '$.user'),
        outcome NOT IN ({", ".join(f"'{outcome}'" for outcome in sorted(REFUSED))}),
        ifnull(input_tokens, 0) + ifnull(output_tokens, 0)
    FROM request_facts WHERE sequence >= ? AND sequence < ? AND arrived_s >= ? AND arrived_s < ?
"""
_USED = f"""
    SELECT tenant, group_name, key_id, user, sum(begun), sum(tokens) FROM ({_IN_HOURS} UNION ALL {_IN_ROWS})
    GROUP BY 1, 2, 3, 4 HAVING sum(begun) > 0
"""


def used_since(path: Path, start_wall_s: float) -> dict[Consumer, Used]:
    """By whom and how much, of what was not refused. Whole hours as they were summed; rows only for the rest of the
    first. Empty without a database. Raises sqlite3.Error, so for one that no gateway has brought up to date.
    """
    if not path.exists():
        return {}
    hour_s = math.ceil(start_wall_s / HOUR_S) * HOUR_S
    with closing(open_to_read(path)) as connection:
        first, end = edge(connection, start_wall_s - LONGEST_S), edge(connection, hour_s + LONGEST_S)
        rows = connection.execute(_USED, (hour_s, first, end, start_wall_s, hour_s)).fetchall()
    return {Consumer(*row[:4]): Used(*row[4:]) for row in rows}


def edge(connection: sqlite3.Connection, moment_s: float, table: str = "requests", time: str = "arrived_s") -> int:
    """A row that arrived since then, with one right above it that did not; by bisection, as nothing indexes time."""
    low, high = connection.execute(_ROWS.format(table=table)).fetchone()
    row_at = _ROW_AT.format(table=table, time=time)
    while low < high:
        middle = (low + high) // 2
        sequence, arrived_s = connection.execute(row_at, (middle,)).fetchone() or (high, moment_s)
        if arrived_s < moment_s:
            low = int(sequence) + 1
        else:
            high = middle
    return int(low)


def open_to_read(path: Path) -> sqlite3.Connection:
    """While a gateway writes, or when none does."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection
