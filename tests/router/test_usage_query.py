import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.secret_files import ExposedSecretError
from router.accounting import Outcome, RequestRecord
from router.telemetry import USAGE_RETENTION_S, TelemetryWriter, row_of, write
from router.telemetry_schema import MIGRATIONS, TelemetryVersionError, open_database
from router.usage_query import Dimension, NoUsageError, UsageQuery, UsageRow, read_usage, total_of
from router.usage_rollup import HOUR_S, KEY_COLUMNS, SUM_COLUMNS, Sums, rolled_up
from support.manual_clock import ManualClock
from support.records import ARRIVED_S, a_record, written

ALL = UsageQuery(("key",), ARRIVED_S - HOUR_S, ARRIVED_S + 24 * HOUR_S)
NOTHING: dict[str, object] = {"input_tokens": None, "output_tokens": None, "tokens_exact": False}


def hours_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        columns = ", ".join((*KEY_COLUMNS, *SUM_COLUMNS))
        return connection.execute(f"SELECT {columns} FROM usage_hours ORDER BY {columns}").fetchall()


def test_requests_are_summed_by_what_is_asked_for_and_the_most_tokens_come_first(tmp_path: Path) -> None:
    path = written(
        tmp_path / "telemetry.db",
        a_record(1, cached_tokens=4, reasoning_tokens=2),
        a_record(2, key_id="k2", group="g2", model="big", node_id="mac", output_tokens=100),
        a_record(3, user="u-17", arrived_wall_s=ARRIVED_S + 2 * HOUR_S),
    )

    def summed(*by: Dimension) -> list[tuple[tuple[str, ...], int, int]]:
        rows = read_usage(path, replace(ALL, by=by))
        return [(row.of, row.sums.input_tokens, row.sums.output_tokens) for row in rows]

    assert summed("key") == [(("k2",), 10, 100), (("k",), 20, 6)]
    assert summed("key", "user") == [(("k2", ""), 10, 100), (("k", ""), 10, 3), (("k", "u-17"), 10, 3)]
    assert summed("model", "node") == [(("big", "mac"), 10, 100), (("toy", "here"), 20, 6)]
    assert summed("tenant") == [(("home",), 30, 106)]
    assert summed("day") == [(("2027-01-15",), 30, 106)]
    assert summed("hour", "group") == [
        (("2027-01-15T08:00:00Z", "g"), 10, 3),
        (("2027-01-15T08:00:00Z", "g2"), 10, 100),
        (("2027-01-15T10:00:00Z", "g"), 10, 3),
    ]
    (first, second) = read_usage(path, ALL)
    assert second.sums == Sums(2, 0, 0, 0, 0, 20, 4, 6, 2, 0, 2.0)
    assert total_of([first, second]) == Sums(3, 0, 0, 0, 0, 30, 4, 106, 2, 0, 3.0)


def test_only_what_was_asked_for_is_summed(tmp_path: Path) -> None:
    path = written(
        tmp_path / "telemetry.db",
        a_record(1),
        a_record(2, key_id="k2"),
        a_record(3, group="g2"),
        a_record(4, model="big"),
        a_record(5, arrived_wall_s=ARRIVED_S - 1),
        a_record(6, arrived_wall_s=ARRIVED_S + HOUR_S),
    )

    def requests(query: UsageQuery) -> int:
        return total_of(read_usage(path, query)).requests

    assert requests(ALL) == 6
    assert requests(replace(ALL, key_ids=("k2",))) == 1
    assert requests(replace(ALL, key_ids=("k", "k2"))) == 6
    assert requests(replace(ALL, group="g2")) == 1
    assert requests(replace(ALL, model="big")) == 1
    assert requests(replace(ALL, model="none")) == 0
    assert requests(replace(ALL, since_s=ARRIVED_S)) == 5
    assert requests(replace(ALL, since_s=ARRIVED_S + HOUR_S - 1)) == 5  # hours are not cut
    assert requests(replace(ALL, until_s=ARRIVED_S)) == 1
    assert requests(replace(ALL, until_s=ARRIVED_S + 1)) == 5


def test_how_requests_ended_is_counted_and_whether_an_engine_counted_them(tmp_path: Path) -> None:
    path = written(
        tmp_path / "telemetry.db",
        a_record(1),
        a_record(2, status=429, outcome="rate_limited", attempts=0, **NOTHING),
        a_record(3, status=400, outcome="client_error", **NOTHING),
        a_record(4, status=503, outcome="no_capacity", attempts=0, **NOTHING),
        a_record(5, status=502, outcome="node_lost", attempts=2, **NOTHING),
        a_record(6, status=504, outcome="timeout", **NOTHING),
        a_record(7, status=499, outcome="cancelled", **{**NOTHING, "output_tokens": 7}),
        a_record(8, status=499, outcome="cancelled", attempts=0, **NOTHING),
        a_record(9, **NOTHING),
    )

    (row,) = read_usage(path, ALL)
    assert row == UsageRow(
        ("k",), Sums(9, refused=3, failed=2, cancelled=2, inexact=4, input_tokens=10, output_tokens=10, seconds=9.0)
    )


OUTCOMES: list[Outcome] = ["ok", "client_error", "rate_limited", "no_capacity", "node_lost", "timeout", "cancelled"]
tokens = st.none() | st.integers(0, 2**20)
some_record = st.builds(
    a_record,
    st.integers(0, 9),
    arrived_wall_s=st.floats(ARRIVED_S, ARRIVED_S + 3 * HOUR_S),
    duration_s=st.integers(0, 100).map(float),
    tenant=st.sampled_from(["home", "away"]),
    user=st.sampled_from([None, "u-1"]),
    node_id=st.sampled_from([None, "mac"]),
    outcome=st.sampled_from(OUTCOMES),
    attempts=st.integers(0, 2),
    input_tokens=tokens, cached_tokens=tokens, output_tokens=tokens, tokens_exact=st.booleans(),
)  # fmt: skip
batches = st.lists(st.lists(some_record, max_size=8), max_size=4)


@settings(max_examples=40, deadline=None)
@given(batches)
def test_sums_agree_with_the_rows_however_they_were_batched_and_after_an_upgrade(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[RequestRecord]]
) -> None:
    directory = tmp_path_factory.mktemp("usage")
    records = [record for batch in batches for record in batch]
    with closing(open_database(directory / "batched.db")) as connection:
        for batch in batches:
            write(connection, batch)
    with closing(sqlite3.connect(directory / "upgraded.db")) as connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
        connection.executemany("INSERT INTO requests (arrived_s, record) VALUES (?, ?)", map(row_of, records))
        connection.commit()
    open_database(directory / "upgraded.db").close()

    expected = sorted((*key, *sums) for key, sums in rolled_up(records).items())
    assert hours_of(directory / "batched.db") == expected
    assert hours_of(directory / "upgraded.db") == expected


def test_an_upgraded_database_is_upgraded_once(tmp_path: Path) -> None:
    path = written(tmp_path / "telemetry.db", a_record())
    before = hours_of(path)

    open_database(path).close()

    assert hours_of(path) == before


def test_hours_are_kept_for_longer_than_rows_and_not_for_ever(tmp_path: Path) -> None:
    clock = ManualClock()
    writer = TelemetryWriter(tmp_path / "telemetry.db", clock)
    old = clock.wall_s() - USAGE_RETENTION_S
    writer.record([a_record(1, arrived_wall_s=old - HOUR_S), a_record(2, arrived_wall_s=old + HOUR_S), a_record(3)])
    writer.close()

    rows = read_usage(tmp_path / "telemetry.db", UsageQuery(("day",), 0, clock.wall_s() + HOUR_S))
    assert [row.of for row in rows] == [("2025-12-11",), ("2027-01-15",)]


def test_where_no_gateway_wrote_usage_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with pytest.raises(NoUsageError, match="potluck up"):
        read_usage(path, ALL)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
    path.chmod(0o600)
    with pytest.raises(NoUsageError, match="potluck up"):
        read_usage(path, ALL)


def test_a_database_that_others_may_read_or_that_a_later_potluck_wrote_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "telemetry.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(TelemetryVersionError, match="upgrade"):
        read_usage(path, ALL)

    path.chmod(0o644)
    with pytest.raises(ExposedSecretError, match=r"telemetry\.db"):
        read_usage(path, ALL)
