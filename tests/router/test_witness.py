"""What a gateway notes for the audit: before it sends, over its own death, and not for what may go anywhere."""

from pathlib import Path

import pytest

from nodes.snapshot import NodeId
from router.borders import borders_of
from router.errors import ApiError
from router.witness import PATIENCE_S, GatewayWitness
from support.manual_clock import ManualClock
from support.zones import machine, zoned

MEDICAL, NEAR = frozenset({"medical"}), NodeId("near")


def witness(root: Path, clock: ManualClock) -> GatewayWitness:
    borders = borders_of(zoned([machine("near", "clinic")], 1))
    return GatewayWitness(clock, lambda: borders, root / "sightings.jsonl")


def test_notes_outlive_a_gateway_that_dies_and_are_gone_once_they_are_told(tmp_path: Path) -> None:
    clock = ManualClock()
    first, second = witness(tmp_path, clock), witness(tmp_path, clock)
    first.saw(NEAR, frozenset({"private"}), "answered", "req_0")
    for number in (1, 2):
        first.saw(NEAR, MEDICAL, "answered", f"req_{number}")
    first.take()
    first.saw(NEAR, MEDICAL, "answered", "req_3")
    second.load()
    found = second.take()
    second.told()

    assert [(one.about, one.zone, one.allowed) for one in found] == [
        (f"req_{number}", "clinic", ("clinic",)) for number in (1, 2, 3)
    ]
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_put_on_record_bound_requests_are_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    away, full, unwritten = witness(tmp_path, clock), witness(tmp_path / "b", clock), witness(tmp_path / "none", clock)
    (tmp_path / "b").mkdir()
    for one in (away, full, unwritten):
        one.check()
        one.saw(NEAR, MEDICAL, "answered", "req_1")
    full.take()
    full.refused("the disk is full")
    clock.advance(PATIENCE_S + 1)

    for one, said in ((away, "has not taken notes for 31 s"), (full, "the disk is full"), (unwritten, "No such file")):
        with pytest.raises(ApiError, match=said) as caught:
            one.check()
        assert (caught.value.status, caught.value.code) == (503, "audit_unavailable")
    for one in (away, full):
        one.take()
        one.told()
        one.check()
