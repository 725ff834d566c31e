import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.decision_record import decoded
from router.telemetry import DECISIONS_LIMIT, QUEUE_LIMIT, RETENTION_S, TelemetryWriter, read_records, row_of
from router.telemetry_schema import MIGRATIONS, TelemetryVersionError
from support.decisions import decision_of, note_of, on
from support.manual_clock import ManualClock
from support.records import a_record


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path / "telemetry.db", ManualClock())
    writer.record([a_record(1), a_record(2)])
    writer.close()

    assert read_records(tmp_path / "telemetry.db") == [a_record(1), a_record(2)]
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        summed = connection.execute("SELECT tenant, sum(output_tokens) FROM request_facts GROUP BY tenant").fetchall()
    assert summed == [("home", 6)]
    assert (tmp_path / "telemetry.db").stat().st_mode & 0o777 == 0o600


def test_records_of_a_database_of_before_are_told_of_as_those_of_today(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
        connection.execute("INSERT INTO requests (arrived_s, record) VALUES (?, ?)", row_of(a_record(1)))
        connection.commit()
    writer = TelemetryWriter(path, ManualClock())
    writer.record([a_record(2)])
    writer.close()

    assert read_records(path) == [a_record(1), a_record(2)]
    with closing(sqlite3.connect(path)) as connection:
        facts = connection.execute("SELECT tenant, outcome, output_tokens FROM request_facts").fetchall()
    assert facts == [("home", "ok", 3)] * 2


def test_what_is_older_than_the_retention_is_removed(tmp_path: Path) -> None:
    clock = ManualClock()
    writer = TelemetryWriter(tmp_path / "telemetry.db", clock)
    writer.record([a_record(1, arrived_wall_s=clock.wall_s() - RETENTION_S - 1), a_record(2)])
    writer.close()

    assert [record.request_id for record in read_records(tmp_path / "telemetry.db")] == ["req_2"]


def test_decisions_are_kept_beside_requests_and_removed_with_them(tmp_path: Path) -> None:
    clock = ManualClock()
    writer, decision = TelemetryWriter(tmp_path / "telemetry.db", clock), decision_of([on(backlog_s=9.0), on()])
    writer.decided([note_of(decision, decided_wall_s=clock.wall_s() - RETENTION_S - 1)])
    writer.decided([note_of(decision, decided_wall_s=clock.wall_s(), observed_s=0.5)])
    writer.close()

    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        rows = connection.execute("SELECT request_id, model, node_id, observed_s, record FROM decisions").fetchall()
    ((request_id, model, node_id, observed_s, body),) = rows
    record = decoded(body)
    assert (record.request_id, record.model, record.node_id, record.observed_s) == (
        request_id, model, node_id, observed_s
    )  # fmt: skip
    assert record.rows[0].engine_id == decision.ranked[0].engine_id
    ((key, errors),) = writer.prediction_errors.items()
    assert key == (model, node_id), "the one that was observed counts"
    buckets, total = errors.export()
    assert (buckets[-1], total) == (("+Inf", 1), abs(observed_s - (record.predicted_s or 0)))


def test_a_full_queue_drops_and_counts_instead_of_waiting(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path / "telemetry.db", ManualClock())
    writer.record([a_record()] * (QUEUE_LIMIT + 5))
    writer.decided([note_of(decision_of([on()]))] * (DECISIONS_LIMIT + 2))

    assert writer.dropped == 7
    writer.close()


def test_a_database_of_a_later_potluck_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")

    with pytest.raises(TelemetryVersionError, match="upgrade"):
        TelemetryWriter(path, ManualClock())


@pytest.mark.parametrize("table", ["requests", "usage_hours", "decisions"])
def test_a_database_that_cannot_be_written_costs_records_not_the_gateway(tmp_path: Path, table: str) -> None:
    path = tmp_path / "telemetry.db"
    writer = TelemetryWriter(path, ManualClock())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP TABLE {table}")
    writer.record([a_record()])
    writer.decided([note_of(decision_of([on()]))])
    writer.close()

    assert (writer.dropped, writer.failed_batches) == (2, 1)
    if table != "requests":
        assert read_records(path) == []  # rows and sums agree, or neither is there
