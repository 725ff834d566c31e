"""Requests that ended, the newest first, from telemetry.db."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from cluster.private_database import refuse_exposed_database
from inventory.secret_files import ExposedSecretError
from router.decision_query import DecisionNotFoundError, DecisionsUnreadableError, NoDecisionsError, decision_of
from router.errors import ApiError
from router.explain import Explanation, explain
from router.ids import made_s
from router.telemetry_schema import TelemetryVersionError
from router.usage_reading import LONGEST_S, edge, open_to_read

MOST = 500
_NEWEST = "SELECT record FROM requests ORDER BY sequence DESC LIMIT ?"
_ONE = """
    SELECT record FROM requests
    WHERE sequence >= ? AND sequence < ? AND json_extract(record, '$.request_id') = ?
"""


class _Record(msgspec.Struct):
    """Of a router.accounting.RequestRecord, what is told here."""

    request_id: str
    arrived_wall_s: float
    model: str
    status: int
    outcome: str
    duration_s: float
    node_id: str | None = None
    engine_id: str | None = None
    route_reason: str | None = None
    error_code: str | None = None
    stream: bool = False
    queued_s: float = 0.0
    first_byte_s: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None


class RequestRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Unknown is left out. `first_token_ms` is of streams: before an answer that comes whole nothing can be seen."""

    request_id: str
    at: float  # wall time of its arrival
    model: str
    status: int
    outcome: str
    queued_ms: float
    duration_ms: float
    node: str | None = None
    engine: str | None = None
    reason: str | None = None
    error: str | None = None
    first_token_ms: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None


class RequestRows(msgspec.Struct, frozen=True):
    rows: tuple[RequestRow, ...]


class RequestTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """`explanation` is of the decision that sent it to its engine, while that is on record."""

    row: RequestRow
    explanation: Explanation | None = None


_records = msgspec.json.Decoder(_Record)


def newest(path: Path, limit: int) -> RequestRows:
    """None before the first one. Raises ApiError 503 where they cannot be read."""
    if not path.exists():
        return RequestRows(())
    return RequestRows(tuple(_row(body) for body in _read(path, _NEWEST, (limit,))))


def told(path: Path, request_id: str) -> RequestTold:
    """Raises ApiError 404 where it is not on record, 503 where none can be read."""
    id_s = made_s(request_id)
    found = _near(path, request_id, id_s) if path.exists() and id_s is not None else []
    if not found:
        raise ApiError(
            404,
            "request_not_found",
            "no such request is on record here: they are kept for 7 days, and one that has just ended is there after "
            "a second",
        )
    return RequestTold(_row(found[0]), _explanation(path, request_id))


def _explanation(path: Path, request_id: str) -> Explanation | None:
    try:
        return explain(decision_of(path, request_id))
    except (DecisionNotFoundError, NoDecisionsError):
        return None
    except (DecisionsUnreadableError, ExposedSecretError, TelemetryVersionError) as error:
        raise _unreadable(error) from error


def _near(path: Path, request_id: str, id_s: float) -> list[str]:
    """Among those of the hours in which its id was made."""
    try:
        with closing(open_to_read(path)) as connection:
            first, end = (edge(connection, id_s + way * 2 * LONGEST_S) for way in (-1, 1))
    except sqlite3.Error as error:
        raise _unreadable(error) from error
    return _read(path, _ONE, (first, end, request_id))


def _read(path: Path, statement: str, values: tuple[str | int, ...]) -> list[str]:
    try:
        refuse_exposed_database(path)
        with closing(open_to_read(path)) as connection:
            return [body for (body,) in connection.execute(statement, values)]
    except (sqlite3.Error, ExposedSecretError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> ApiError:
    return ApiError(503, "records_unreadable", f"what was recorded cannot be read: {error}")


def _row(body: str) -> RequestRow:
    record = _records.decode(body)
    return RequestRow(
        record.request_id,
        record.arrived_wall_s,
        record.model,
        record.status,
        record.outcome,
        _ms(record.queued_s),
        _ms(record.duration_s),
        record.node_id,
        record.engine_id,
        record.route_reason,
        record.error_code,
        _ms(record.first_byte_s) if record.stream and record.first_byte_s is not None else None,
        record.input_tokens,
        record.cached_tokens,
        record.output_tokens,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
