import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.telemetry import QUEUE_LIMIT, RETENTION_S, TelemetryWriter, read_records
from router.telemetry_schema import TelemetryVersionError
from support.manual_clock import ManualClock
from support.records import a_record


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path / "telemetry.db", ManualClock())
    writer.record([a_record(1), a_record(2)])
    writer.close()

    assert read_records(tmp_path / "telemetry.db") == [a_record(1), a_record(2)]
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        summed = connection.execute("SELECT tenant, sum(output_tokens) FROM requests GROUP BY tenant").fetchall()
    assert summed == [("home", 6)]
    assert (tmp_path / "telemetry.db").stat().st_mode & 0o777 == 0o600


def test_what_is_older_than_the_retention_is_removed(tmp_path: Path) -> None:
    clock = ManualClock()
    writer = TelemetryWriter(tmp_path / "telemetry.db", clock)
    writer.record([a_record(1, arrived_wall_s=clock.wall_s() - RETENTION_S - 1), a_record(2)])
    writer.close()

    assert [record.request_id for record in read_records(tmp_path / "telemetry.db")] == ["req_2"]


def test_a_full_queue_drops_and_counts_instead_of_waiting(tmp_path: Path) -> None:
    writer = TelemetryWriter(tmp_path / "telemetry.db", ManualClock())
    writer.record([a_record()] * (QUEUE_LIMIT + 5))

    assert writer.dropped == 5
    writer.close()


def test_a_database_of_a_later_potluck_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")

    with pytest.raises(TelemetryVersionError, match="upgrade"):
        TelemetryWriter(path, ManualClock())


@pytest.mark.parametrize("table", ["requests", "usage_hours"])
def test_a_database_that_cannot_be_written_costs_records_not_the_gateway(tmp_path: Path, table: str) -> None:
    path = tmp_path / "telemetry.db"
    writer = TelemetryWriter(path, ManualClock())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP TABLE {table}")
    writer.record([a_record()])
    writer.close()

    assert (writer.dropped, writer.failed_batches) == (1, 1)
    if table == "usage_hours":
        assert read_records(path) == []  # rows and sums agree, or neither is there
