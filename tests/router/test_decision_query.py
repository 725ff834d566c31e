"""Decisions as they are read: of a database that is not there, too old, too new, exposed or damaged; and how good."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inventory.secret_files import ExposedSecretError
from nodes.snapshot import NodeId
from router.accuracy import Accuracy, Sample, accuracies
from router.decision_query import (
    DecisionNotFoundError,
    DecisionsUnreadableError,
    NoDecisionsError,
    decision_of,
    decisions,
    last_decision,
    samples,
)
from router.telemetry import TelemetryWriter
from router.telemetry_schema import MIGRATIONS, TelemetryVersionError
from support.decisions import DECIDED_S, counted, note_of, on
from support.decisions import decision_of as decided
from support.manual_clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = TelemetryWriter(tmp_path / "telemetry.db", ManualClock(wall_s=DECIDED_S))
    measured = decided([on(), on(backlog_s=5.0)])
    writer.decided(
        [
            note_of(measured, request_id="req_1", decided_wall_s=DECIDED_S - 50, observed_s=0.5),
            note_of(measured, request_id="req_2", model="other", observed_s=0.25),
            note_of(measured, request_id="req_3"),
            note_of(counted({"a": 1}), request_id="req_4", observed_s=0.1),
        ]
    )
    writer.close()
    return tmp_path / "telemetry.db"


def test_they_are_found_by_request_by_time_and_by_model(path: Path) -> None:
    assert decision_of(path, "req_2").model == "other"
    assert last_decision(path).request_id == "req_4"
    assert last_decision(path, "other").request_id == "req_2"
    assert [one.request_id for one in decisions(path, DECIDED_S)] == ["req_2", "req_3", "req_4"]
    assert [one.request_id for one in decisions(path, 0.0, "other")] == ["req_2"]


def test_an_id_is_looked_for_where_it_was_made_and_then_everywhere(tmp_path: Path) -> None:
    clock = ManualClock(wall_s=DECIDED_S)
    times = [DECIDED_S + 3600.0 * hour for hour in range(48)]
    clock_was_wrong = [f"req_{0:012x}{number:020x}" for number in range(2)]
    ids = [f"req_{int(at_s * 1000):012x}{number:020x}" for number, at_s in enumerate(times)]
    writer = TelemetryWriter(tmp_path / "telemetry.db", clock)
    measured = decided([on()])
    writer.decided([note_of(measured, request_id=clock_was_wrong[0], decided_wall_s=times[0])])
    writer.decided([note_of(measured, request_id=one, decided_wall_s=at) for one, at in zip(ids, times, strict=True)])
    writer.close()

    found = [decision_of(tmp_path / "telemetry.db", one).request_id for one in (*ids, clock_was_wrong[0])]
    assert found == [*ids, clock_was_wrong[0]]
    with pytest.raises(DecisionNotFoundError):
        decision_of(tmp_path / "telemetry.db", clock_was_wrong[1])


def test_only_requests_with_a_prediction_and_a_first_token_say_how_good_it_was(path: Path) -> None:
    assert [one.observed_s for one in samples(path, 0.0)] == [0.5, 0.25]
    assert [one.observed_s for one in samples(path, DECIDED_S)] == [0.25]
    assert samples(path, 0.0, "nix") == []


def test_a_database_of_before_has_none_and_gets_them_when_a_gateway_starts(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.db"
    with pytest.raises(NoDecisionsError, match="on its own machine"):
        last_decision(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("".join(MIGRATIONS[:2]) + "PRAGMA user_version=2;")
    path.chmod(0o600)
    with pytest.raises(NoDecisionsError):
        last_decision(path)

    writer = TelemetryWriter(path, ManualClock(wall_s=DECIDED_S))
    writer.decided([note_of(counted({"a": 1}), request_id="req_1")])
    writer.close()
    assert last_decision(path).request_id == "req_1"


def test_what_cannot_or_must_not_be_read_is_said(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE decisions SET record = x'9301' WHERE request_id = 'req_4'")
    with pytest.raises(DecisionsUnreadableError, match="cannot be read"):
        last_decision(path)
    path.chmod(0o644)
    with pytest.raises(ExposedSecretError):
        last_decision(path)
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(TelemetryVersionError):
        last_decision(path)


def test_errors_are_shares_of_what_was_observed_by_machine() -> None:
    mac, rtx = NodeId("mac"), NodeId("rtx")
    off = [Sample(mac, 1.0 + number / 10, 1.0) for number in range(11)]  # 0 % to 100 % too long

    of_mac, of_rtx = accuracies([*off, Sample(rtx, 1.0, 2.0)])
    assert (of_mac.node_id, of_mac.requests) == (mac, 11)
    assert of_mac[2:] == pytest.approx((1 / 1.5, 0.5, 0.9))
    assert of_rtx == Accuracy(rtx, 1, 2.0, 0.5, 0.5)
    assert accuracies([]) == []
