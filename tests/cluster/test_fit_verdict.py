from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.fit import Workload, need_of
from cluster.fit_verdict import Resident, Room, Verdict, judge
from inventory.catalog import ModelName
from nodes.snapshot import EngineId
from support.shapes import DENSE, GIB

ASKED = Workload("llamacpp", DENSE, 32_768, 4)
NEED = need_of(ASKED).total_bytes


def resident(name: str, gib: int, idle_s: float = 0.0, movable: bool = True) -> Resident:
    return Resident(EngineId(f"{name}.box.1"), ModelName(name), gib * GIB, movable, idle_s)


def verdict(budget_gib: float, *residents: Resident, workload: Workload = ASKED) -> Verdict:
    return judge(workload, Room(int(budget_gib * GIB), residents), kv_bits=(16, 8))


def test_what_fits_fits_as_it_is() -> None:
    assert (verdict(64).answer, verdict(64).short_bytes) == ("fits", 0)


def test_the_longest_idle_make_room_and_no_more_of_them_than_needed() -> None:
    found = verdict(64, resident("fresh", 20, 10), resident("old", 20, 900), resident("older", 20, 950))

    assert found.answer == "after evicting"
    assert [one.model for one in found.evicted] == ["older"] if NEED <= 24 * GIB else ["older", "old"]
    assert sum(one.size_bytes for one in found.evicted) >= found.short_bytes


def test_who_is_pinned_or_busy_is_never_offered_up() -> None:
    found = verdict(32, resident("pinned", 20, 900, movable=False))

    assert found.answer == "with changes"
    assert found.evicted == ()


def test_each_change_is_enough_by_itself_and_says_what_it_is() -> None:
    found = verdict(18)

    assert found.answer == "with changes"
    assert {change.what.split(" ")[1] for change in found.changes} >= {"KV"} or len(found.changes) >= 2
    assert all(change.need.total_bytes <= found.room.free_bytes for change in found.changes)
    assert "would fit with" in found.why


def test_a_machine_that_is_full_beyond_its_budget_has_no_negative_room() -> None:
    full = verdict(20, resident("big", 24, movable=False)).why

    assert "the engines that are there need 4.0 GiB more than the budget of 20.0 GiB as it is" in full
    assert "-" not in full


def test_weights_that_exceed_the_machine_never_fit_and_that_is_said() -> None:
    found = verdict(6)

    assert found.answer == "never"
    assert "its weights alone, 8.0 GiB, exceed the budget of 6.0 GiB" in found.why


@given(st.integers(1, 200), st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.floats(0, 1e6)), max_size=5))
def test_a_verdict_keeps_its_word(budget_gib: int, others: list[tuple[int, bool, float]]) -> None:
    residents = tuple(resident(f"m{n}", gib, idle, movable) for n, (gib, movable, idle) in enumerate(others))
    room = Room(budget_gib * GIB, residents)
    found = judge(ASKED, room, kv_bits=(16, 8))

    if found.answer == "fits":
        assert room.free_bytes >= NEED
    if found.answer == "after evicting":
        left = replace(room, residents=tuple(one for one in residents if one not in found.evicted))
        assert judge(ASKED, left).answer == "fits"
        assert all(one.movable for one in found.evicted)
    for change in found.changes:
        assert judge(change.workload, room).answer == "fits"
    if found.answer != "fits":
        assert found.short_bytes == NEED - room.free_bytes
