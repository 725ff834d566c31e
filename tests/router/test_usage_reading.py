from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from router.telemetry import TelemetryWriter
from router.usage_reading import LONGEST_S, used_since
from support.manual_clock import ManualClock
from support.records import ARRIVED_S, a_record, written


def test_what_was_used_since_a_moment_is_told_by_tenant_group_key_and_user(tmp_path: Path) -> None:
    path = written(
        tmp_path / "telemetry.db",
        a_record(1, arrived_wall_s=ARRIVED_S - 1),
        a_record(2),
        a_record(3, input_tokens=5, output_tokens=None),
        a_record(4, user="u-17"),
        a_record(5, tenant="away", group="other", key_id="k2"),
    )

    assert used_since(path, ARRIVED_S) == {
        ("home", "g", "k", None): (2, 18),
        ("home", "g", "k", "u-17"): (1, 13),
        ("away", "other", "k2", None): (1, 13),
    }


def test_what_was_refused_is_no_use_and_what_broke_off_is(tmp_path: Path) -> None:
    nothing: dict[str, object] = {"input_tokens": None, "output_tokens": None, "tokens_exact": False}
    path = written(
        tmp_path / "telemetry.db",
        a_record(1, status=429, outcome="rate_limited", attempts=0, **nothing),
        a_record(2, status=400, outcome="client_error", attempts=1, **nothing),
        a_record(3, status=503, outcome="no_capacity", attempts=0, **nothing),
        a_record(4, status=499, outcome="cancelled", attempts=0, **nothing),
        a_record(5, status=502, outcome="node_lost", attempts=2, **{**nothing, "output_tokens": 7}),
        a_record(6, key_id="k2", status=429, outcome="rate_limited", attempts=0, **nothing),
    )

    for start_s in (ARRIVED_S, ARRIVED_S - 0.5, ARRIVED_S - 3600):
        assert used_since(path, start_s) == {("home", "g", "k", None): (2, 7)}


def test_nothing_was_used_where_nothing_is_recorded(tmp_path: Path) -> None:
    assert used_since(tmp_path / "telemetry.db", ARRIVED_S) == {}
    assert used_since(written(tmp_path / "telemetry.db"), ARRIVED_S) == {}


def test_the_writer_goes_on_while_usage_is_read(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    writer = TelemetryWriter(path, ManualClock())
    try:
        assert used_since(path, ARRIVED_S) == {}
        writer.record([a_record(1)])
    finally:
        writer.close()

    assert used_since(path, ARRIVED_S) == {("home", "g", "k", None): (1, 13)}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 9 * LONGEST_S), st.floats(0, LONGEST_S)), max_size=30), st.floats(0, 9))
def test_no_request_of_the_span_is_missed_however_long_each_took(ends: list[tuple[float, float]], start: float) -> None:
    arrivals = [ARRIVED_S + end - lasted for end, lasted in sorted(ends)]
    start_s = ARRIVED_S + start * LONGEST_S
    with TemporaryDirectory() as directory:
        records = [a_record(number, arrived_wall_s=arrived) for number, arrived in enumerate(arrivals)]
        used = used_since(written(Path(directory) / "telemetry.db", *records), start_s)

    assert sum(one.requests for one in used.values()) == sum(arrived >= start_s for arrived in arrivals)
