"""The supervisor with real processes: restart, orderly stop, and the pure back-off."""

import asyncio
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cli.supervise import FIRST_BACKOFF_S, LAST_BACKOFF_S, Child, ChildSupervisor, next_backoff_s, supervise
from inventory.clock import SystemClock
from support.machine import eventually

COUNT_STARTS = """
import pathlib, signal, sys
log = pathlib.Path(sys.argv[1])
log.write_text(log.read_text() + "start\\n" if log.exists() else "start\\n")
if log.read_text().count("start") < 3:
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
log.write_text(log.read_text() + "steady\\n")
sys.stdin.read()
"""


async def test_a_child_that_dies_is_started_again_and_stops_when_told(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    child = Child("node", (sys.executable, "-c", COUNT_STARTS, str(notes)), tmp_path / "node.log", stop_grace_s=5)
    farewells: list[str] = []

    async def farewell() -> None:
        farewells.append("asked")

    stop = asyncio.Event()
    running = asyncio.create_task(supervise((ChildSupervisor(child, SystemClock(), farewell),), stop))
    async with asyncio.timeout(20):
        await asyncio.to_thread(eventually, lambda: notes.exists() and "steady" in notes.read_text(), 20, "steady")
        stop.set()
        await running

    assert notes.read_text().count("start") == 3
    assert farewells == ["asked"]


@given(previous=st.floats(0, 100), lived=st.floats(0, 1e6))
def test_back_off_stays_in_its_bounds_and_starts_over_after_a_healthy_life(previous: float, lived: float) -> None:
    backoff = next_backoff_s(previous, lived)

    assert FIRST_BACKOFF_S <= backoff <= LAST_BACKOFF_S
    if lived >= 30:
        assert backoff == FIRST_BACKOFF_S
