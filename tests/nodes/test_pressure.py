"""How short of memory a machine is: lines, stalls, and levels that rise at once and fall with patience."""

from hypothesis import given
from hypothesis import strategies as st

from inventory.hardware import GIB, default_reserve
from inventory.memory_state import MemoryState, Verdict
from nodes.pressure import LEVELS, Pressure, Thresholds, judged, margin, read
from nodes.snapshot import PressureLevel

MIB = 1 << 20
TOTAL = 24 * GIB
RESERVED = default_reserve(TOTAL)  # 1.2 GiB
LINES = Thresholds()


def level(available_mib: int, stalled: float | None = None, verdict: Verdict | None = None) -> PressureLevel:
    return read(MemoryState(available_mib * MIB, TOTAL, stalled, verdict), RESERVED)[0]


def test_the_lines_are_parts_of_what_the_system_keeps() -> None:
    assert [level(mib) for mib in (2000, 615, 614, 308, 307, 154, 153, 0)] == [
        "calm", "calm", "tight", "tight", "short", "short", "critical", "critical",
    ]  # fmt: skip


def test_the_reason_has_both_figures() -> None:
    assert read(MemoryState(310 * MIB, TOTAL), RESERVED)[1] == "310.0 MiB available of 24.0 GiB"


def test_a_machine_whose_programs_wait_for_memory_is_short_earlier() -> None:
    assert (level(400), level(400, stalled=19.9), level(400, stalled=20.0)) == ("tight", "tight", "short")
    assert level(400, verdict="warning") == "short"


def test_stalls_alone_stop_new_starts_and_give_nobody_up() -> None:
    assert (level(20_000, stalled=90.0), level(20_000, verdict="critical")) == ("tight", "tight")
    assert level(20_000, verdict="warning") == "calm"


def test_an_operators_reserve_moves_the_lines_only_so_far() -> None:
    assert margin(TOTAL, 0) == TOTAL // 32
    assert margin(TOTAL, TOTAL // 2) == RESERVED
    assert margin(2 * GIB, GIB) == GIB // 2


def test_a_level_rises_at_once_and_falls_after_seconds_of_ease() -> None:
    pressure = Pressure()
    for at_s, reading in ((1.0, "short"), (2.0, "calm"), (5.0, "tight"), (6.9, "calm")):
        pressure = judged(pressure, reading, "told", at_s, LINES)  # type: ignore[arg-type]  # of a literal
        assert (pressure.level, pressure.since_s, pressure.reading) == ("short", 1.0, reading)
    pressure = judged(pressure, "calm", "", 7.0, LINES)

    assert (pressure.level, pressure.since_s) == ("tight", 7.0), "no lower than what was seen meanwhile"
    pressure = judged(judged(pressure, "calm", "", 8.0, LINES), "calm", "", 13.0, LINES)
    assert (pressure.level, pressure.reason) == ("calm", "")


def test_a_relapse_starts_the_patience_anew() -> None:
    pressure = judged(Pressure(), "short", "told", 0.0, LINES)
    for at_s, reading in ((1.0, "calm"), (5.0, "short"), (6.0, "calm"), (10.9, "calm")):
        pressure = judged(pressure, reading, "told", at_s, LINES)  # type: ignore[arg-type]  # of a literal
        assert pressure.level == "short"


@given(st.lists(st.tuples(st.sampled_from(LEVELS), st.floats(0.0, 20.0)), max_size=40))
def test_a_level_is_never_below_its_reading_and_never_above_all_of_the_last_seconds(
    story: list[tuple[PressureLevel, float]],
) -> None:
    pressure, now_s, seen = Pressure(), 0.0, []
    for reading, pause_s in story:
        now_s += pause_s
        seen.append((now_s, LEVELS.index(reading)))
        pressure = judged(pressure, reading, "told", now_s, LINES)
        held = LEVELS.index(pressure.level)
        assert held >= LEVELS.index(reading)
        assert held == 0 or held <= max(rank for _, rank in seen)
        assert pressure.reading == reading
        assert bool(pressure.reason) == (held > 0)


@given(st.integers(0, TOTAL), st.integers(0, TOTAL), st.integers(0, TOTAL))
def test_more_memory_is_never_a_higher_level(available: int, more: int, reserved: int) -> None:
    first, _ = read(MemoryState(available, TOTAL), reserved)
    second, _ = read(MemoryState(min(TOTAL, available + more), TOTAL), reserved)

    assert LEVELS.index(second) <= LEVELS.index(first)
