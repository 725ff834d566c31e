"""Recorded decisions as they are asked for, from telemetry.db."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from cluster.private_database import refuse_exposed_database
from router.accuracy import Sample
from router.decision_record import DecisionRecord, decoded
from router.ids import made_s
from router.telemetry_schema import MIGRATIONS, TelemetryVersionError
from router.usage_reading import LONGEST_S, edge, open_to_read

RECORDED_SINCE = 3  # schema
_OF_REQUEST = "SELECT record FROM decisions WHERE request_id = ?"
ELSEWHERE = "the gateway writes it, on its own machine, as requests end, and keeps it for 7 days"


class NoDecisionsError(Exception):
    """Nothing was recorded here. Handled by the command: it prints this and exits 4."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"no decision is on record at {path}: {ELSEWHERE}; ask there, or name its state directory with --state-dir"
        )
        self.path = path


class DecisionNotFoundError(Exception):
    """This one was not recorded, or not here. Handled by the command: it prints this and exits 4."""

    def __init__(self, wanted: str, path: Path) -> None:
        super().__init__(
            f"no decision of {wanted} is on record at {path}: {ELSEWHERE}. A request that no engine got has none, and "
            "one that has just ended is there after a second"
        )
        self.wanted, self.path = wanted, path


class DecisionsUnreadableError(Exception):
    """SQLite cannot read what is there, or no potluck wrote it. Handled by the command: it prints this."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}); if that lasts, move it away: the gateway makes another")
        self.path, self.reason = path, reason


def decision_of(path: Path, request_id: str) -> DecisionRecord:
    """Raises DecisionNotFoundError, and whatever `decisions` raises."""
    with _reading(path) as connection:
        found = _near(connection, request_id) or connection.execute(_OF_REQUEST, (request_id,)).fetchone()
        if found is None:
            raise DecisionNotFoundError(f"request {request_id}", path)
        return decoded(found[0])


def _near(connection: sqlite3.Connection, request_id: str) -> tuple[bytes] | None:
    """Among the decisions of the hours in which its id was made; it may be elsewhere after a clock was set."""
    id_s = made_s(request_id)
    if id_s is None:
        return None
    first, end = (edge(connection, id_s + way * 2 * LONGEST_S, "decisions", "decided_s") for way in (-1, 1))
    near = f"{_OF_REQUEST} AND sequence >= ? AND sequence < ?"
    found: tuple[bytes] | None = connection.execute(near, (request_id, first, end)).fetchone()
    return found


def last_decision(path: Path, model: str | None = None) -> DecisionRecord:
    """Raises DecisionNotFoundError, and whatever `decisions` raises."""
    statement = "SELECT record FROM decisions WHERE ? IS NULL OR model = ? ORDER BY sequence DESC LIMIT 1"
    with _reading(path) as connection:
        found = connection.execute(statement, (model, model)).fetchone()
        if found is None:
            raise DecisionNotFoundError("any request" if model is None else f"model {model}", path)
        return decoded(found[0])


def decisions(path: Path, since_s: float, model: str | None = None) -> Iterator[DecisionRecord]:
    """Oldest first. Raises NoDecisionsError, DecisionsUnreadableError, ExposedSecretError, TelemetryVersionError."""
    statement = "SELECT record FROM decisions WHERE decided_s >= ? AND (? IS NULL OR model = ?) ORDER BY sequence"
    with _reading(path) as connection:
        for (body,) in connection.execute(statement, (since_s, model, model)):
            yield decoded(body)


def samples(path: Path, since_s: float, model: str | None = None) -> list[Sample]:
    """Times to the first token that were predicted and observed. Raises as `decisions` does."""
    statement = """
        SELECT node_id, predicted_s, observed_s FROM decisions
        WHERE decided_s >= ? AND (? IS NULL OR model = ?) AND predicted_s > 0 AND observed_s > 0 ORDER BY sequence
    """
    with _reading(path) as connection:
        return [Sample(*row) for row in connection.execute(statement, (since_s, model, model))]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise NoDecisionsError(path)
    refuse_exposed_database(path)
    try:
        with closing(open_to_read(path)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise TelemetryVersionError(path, version)
            if version < RECORDED_SINCE:
                raise NoDecisionsError(path)
            yield connection
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise DecisionsUnreadableError(path, str(error)) from error
