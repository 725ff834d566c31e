"""How much memory is left, here and in a container."""

from pathlib import Path

from inventory.cgroup import MemoryLimit
from inventory.memory_state import MemoryState, read_memory_state, stalled_percent, tightest

PRESSURE = """some avg10=31.20 avg60=4.10 avg300=0.90 total=123
full avg10=12.34 avg60=3.00 avg300=0.50 total=99
"""


def test_this_machine_has_some_left_of_what_it_has() -> None:
    state = read_memory_state()

    assert 0 < state.available_bytes <= state.total_bytes


def test_stalls_are_those_in_which_nothing_ran() -> None:
    assert stalled_percent(PRESSURE) == 12.34
    assert stalled_percent("") is None


def test_where_the_least_is_left_counts() -> None:
    machine = MemoryState(500, 1000, 3.0)

    assert tightest(machine, ()) == machine
    assert tightest(machine, (MemoryLimit(400, 100), MemoryLimit(900, 850))) == MemoryState(50, 900, 3.0)
    assert tightest(machine, (MemoryLimit(900, 100), MemoryLimit(300, None))) == machine
    assert tightest(machine, (MemoryLimit(100, 400),)) == MemoryState(0, 100, 3.0)


def test_a_machine_without_these_files_tells_no_stalls(tmp_path: Path) -> None:
    assert read_memory_state(tmp_path).stalled_percent is None
