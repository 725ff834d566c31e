import subprocess
import sys
from pathlib import Path

import pytest

from inventory.process_memory import held_by

MIB = 1 << 20
HOLDER = """
import mmap, sys
held = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(held), 4096): held[at] = 1
if len(sys.argv) > 2:
    with open(sys.argv[2], 'rb') as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        total = sum(mapped[at] for at in range(0, len(mapped), 4096))
print('ready', flush=True)
sys.stdin.read()
"""


def _held_bytes(pids: list[int]) -> int | None:
    held = held_by(pids)
    return None if held is None else held.total_bytes


def holding(*arguments: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.communicate()


def test_what_each_has_for_itself_is_summed() -> None:
    plain, small, large = holding("1"), holding("20"), holding("60")
    try:
        base = _held_bytes([plain.pid])
        both = _held_bytes([small.pid, large.pid])
        assert base is not None and both is not None
        assert both - base == pytest.approx(79 * MIB, abs=16 * MIB)
    finally:
        end(plain, small, large)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS charges mapped files to nobody")
def test_a_file_that_two_have_mapped_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * (64 * MIB))
    one, two = holding("1", str(file)), holding("1", str(file))
    try:
        alone, both = held_by([one.pid]), held_by([one.pid, two.pid])
        assert alone is not None and both is not None
        assert alone.shared_bytes > 64 * MIB > alone.own_bytes
        assert both.total_bytes - alone.total_bytes < 32 * MIB
    finally:
        end(one, two)


def test_who_is_gone_holds_nothing_and_nobody_is_unknown() -> None:
    gone = holding("1")
    end(gone)

    assert _held_bytes([gone.pid]) is None
    assert _held_bytes([]) is None
