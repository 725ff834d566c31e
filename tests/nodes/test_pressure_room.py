"""Whether an engine may start beside what runs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inventory.hardware import GIB, MemoryPool, PoolId
from nodes.orders import EngineSpec
from nodes.pressure import Pressure
from nodes.pressure_room import Room, promised_bytes, shed_reason, why_not
from support.nodes import spec

RAM = MemoryPool(PoolId("ram"), "ram", 24 * GIB, 4 * GIB, int(1.2 * GIB))
ROOM = Room(Pressure(), 20 * GIB, RAM, has_vram=False, promised_bytes=0)


def needing(gib: float) -> EngineSpec:
    return replace(spec(), need_bytes=int(gib * GIB))


def test_it_may_start_where_its_peak_leaves_half_of_what_the_system_keeps() -> None:
    assert why_not(needing(19.4), 0, ROOM) is None
    assert why_not(needing(19.5), 0, ROOM) == "waits for memory: needs 19.5 GiB, and 19.4 GiB are free for it"


def test_what_others_were_promised_and_do_not_hold_yet_is_not_free() -> None:
    assert why_not(needing(10), 0, replace(ROOM, promised_bytes=8 * GIB)) is None
    assert why_not(needing(12), 0, replace(ROOM, promised_bytes=8 * GIB)) is not None


def test_the_kernel_has_the_last_word() -> None:
    assert why_not(needing(10), 0, replace(ROOM, available_bytes=9 * GIB)) is not None


def test_what_it_took_here_before_counts_where_it_is_more() -> None:
    assert why_not(needing(1), 21 * GIB, ROOM) is not None
    assert why_not(replace(spec(), need_bytes=0), 21 * GIB, ROOM) is not None


def test_nothing_starts_while_the_machine_is_tight() -> None:
    tight = replace(ROOM, pressure=Pressure("tight", "600.0 MiB available of 24.0 GiB"))

    assert why_not(needing(0.1), 0, tight) == "waits for memory: 600.0 MiB available of 24.0 GiB"


def test_an_order_that_does_not_say_and_a_gpus_own_memory_are_not_judged() -> None:
    assert why_not(spec(), 0, ROOM) is None
    assert why_not(needing(100), 0, replace(ROOM, has_vram=True)) is None
    assert why_not(replace(needing(100), kind="mlx"), 0, replace(ROOM, has_vram=True)) is not None


def test_a_reason_says_when_it_will_be_back() -> None:
    told = shed_reason(needing(1), 0, "310.0 MiB available of 24.0 GiB", GIB // 4)

    assert told == "stopped for memory: 310.0 MiB available of 24.0 GiB; back when 1.2 GiB are free"


def test_what_the_head_knows_about_an_engine_is_no_setting_of_it() -> None:
    assert replace(spec(), need_bytes=5, on_demand=True) == spec()


@given(st.integers(0, 24), st.integers(0, 24), st.integers(0, 30), st.lists(st.integers(0, 10), max_size=4))
def test_what_is_let_in_fits_beside_all_that_was_promised(
    available: int, others: int, need: int, running: list[int]
) -> None:
    promised = promised_bytes(needing(gib) for gib in running)
    pool = replace(RAM, used_by_others_bytes=others * GIB)
    room = Room(Pressure(), available * GIB, pool, False, promised)
    if need and why_not(needing(need), 0, room) is None:
        assert need * GIB + promised + others * GIB <= pool.total_bytes
        assert need <= available
