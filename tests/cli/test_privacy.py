"""`potluck privacy prove`: from a gateway's notes to what the audit proves, as an operator types it."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from cluster.audit_trail import AuditTrail, open_trail
from cluster.privacy import ClassRule
from cluster.sightings import Sighting, events_of, rules_event
from inventory.paths import StatePaths
from nodes.snapshot import NodeId
from support.command_here import potluck
from support.manual_clock import ManualClock

MORNING_S = 1_800_000_000.0  # 2027-01-15 08:00 UTC
DAY = ("--from", "2027-01-15", "--to", "2027-01-16")
privacy = partial(potluck, "privacy")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def note(trail: AuditTrail, sightings: Sequence[Sighting]) -> None:
    for event in events_of(sightings):
        trail.tell(event)


def sighting(number: int, node: str, zone: str, classes: tuple[str, ...] = ("medical",), **facts: str) -> Sighting:
    at_ms = int((MORNING_S + number) * 1000)
    deed, about = facts.get("deed", "answered"), f"req_{number:032x}"
    return Sighting(at_ms, NodeId(node), zone, classes, ("clinic",), deed, about)


@pytest.fixture
def trail(paths: StatePaths) -> AuditTrail:
    return open_trail(paths, "box", 1e9, ManualClock(wall_s=MORNING_S))


def test_a_proof_names_every_machine_how_often_and_which_rules_held(paths: StatePaths, trail: AuditTrail) -> None:
    trail.tell(rules_event([ClassRule("medical", ("clinic",)), ClassRule("private")]))
    note(trail, [sighting(number, "near", "clinic") for number in range(150)])
    note(trail, [sighting(200, "near", "clinic", deed="embedded"), sighting(201, "office", "clinic", ("staff",))])
    trail.close()
    said, other = (
        privacy(paths, "prove", "--class", "medical", *DAY).stdout,
        json.loads(privacy(paths, "prove", "--class", "staff", *DAY, "--json").stdout),
    )
    later = json.loads(
        privacy(paths, "prove", "--class", "medical", "--from", "2027-01-16", "--to", "2027-01-17", "--json").stdout
    )

    assert "from 2027-01-15 08:00:00: may be in clinic" in said
    assert "proved: no machine outside its zones had it" in said
    row = next(line for line in said.splitlines() if line.startswith("near"))
    assert row.split()[:4] == ["near", "clinic", "clinic", "151"] and "answered 150, embedded 1" in row
    assert [(one["node_id"], one["count"]) for one in other["machines"]] == [("office", 1)]
    assert other["rules"] == [{"from_ms": int(MORNING_S * 1000), "named": False, "zones": None}]
    assert (later["machines"], later["holds"]) == ([], True)


def test_a_machine_outside_and_an_audit_that_was_changed_prove_nothing(paths: StatePaths, trail: AuditTrail) -> None:
    note(trail, [sighting(1, "near", "clinic"), sighting(2, "far", "rented")])
    trail.close()
    outside = privacy(paths, "prove", "--class", "medical", *DAY, expect=3).stdout
    with closing(sqlite3.connect(paths.audit_db)) as connection, connection:
        connection.execute("DROP TRIGGER records_stay_as_they_are")
        connection.execute("UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'rented', 'clinic') AS BLOB)")
    changed = privacy(paths, "prove", "--class", "medical", *DAY, expect=3).stdout

    assert "OUTSIDE: far was in `rented` when it had it, once" in outside
    assert "NOT PROVED: the audit is not as it was written" in changed


def test_where_there_is_no_audit_nothing_is_proved(paths: StatePaths) -> None:
    assert "there is no audit" in privacy(paths, "prove", "--class", "medical", *DAY, expect=4).stderr
