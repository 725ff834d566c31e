"""What an engine holds, by real processes: its peak, without pages that nobody reads any more, and on GPUs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.hardware import PoolId
from inventory.nvidia_facts import DriverFacts, GpuFacts, GpuProcess, bytes_by_process
from inventory.paths import StatePaths
from nodes.engine_body import first_output, log_file
from nodes.engine_memory import LOOK_EVERY_S, EngineMemories, sum_known
from nodes.leases import Lease, write_lease
from nodes.snapshot import EngineId, EngineLoad, EngineSnapshot, EngineState, MemoryItem
from support.cluster_facts import engine
from support.manual_clock import ManualClock
from support.nodes import spec

MIB = 1 << 20
HOLDER = """
import mmap, sys
with open(sys.argv[1], 'rb') as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    total = sum(mapped[at] for at in range(0, len(mapped), 4096))
print('ready', flush=True)
sys.stdin.read()
"""
LOG = """\
load_tensors:   CPU_Mapped model buffer size =    64.00 MiB
load_tensors:   CPU_REPACK model buffer size =    48.00 MiB
llama_kv_cache:        CPU KV buffer size =     2.00 MiB
"""


@contextmanager
def mapping(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has read all of a mapped file, as llama.cpp does while it loads."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.communicate()


def loading(pid: int, state: EngineState = "starting") -> EngineSnapshot:
    return replace(engine("smol.box.1", state), pid=pid)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS charges mapped files to nobody")
def test_pages_of_the_file_count_once_it_is_ready_and_only_those_that_are_still_read(tmp_path: Path) -> None:
    file, clock = tmp_path / "weights", ManualClock()
    file.write_bytes(b"x" * (64 * MIB))
    memories = EngineMemories(clock, lambda _, __: LOG, gpu_bytes=dict)
    with mapping(file) as process:
        memories.look([loading(process.pid)])
        (starting,) = memories.told([loading(process.pid)])
        clock.advance(LOOK_EVERY_S)
        memories.look([loading(process.pid, "ready")])
        (ready,) = memories.told([loading(process.pid, "ready")])

    assert starting.memory_peak_bytes is not None and starting.memory_bytes is not None
    assert ready.memory_peak_bytes is not None
    assert starting.memory_peak_bytes < 40 * MIB < 64 * MIB < starting.memory_bytes
    assert ready.memory_bytes == pytest.approx(starting.memory_bytes - 48 * MIB, abs=2 * MIB)
    assert ready.memory_peak_bytes > starting.memory_peak_bytes
    assert starting.memory_items == ()
    assert ready.memory_items == (MemoryItem(("weights",), 64 * MIB), MemoryItem(("kv cache",), 2 * MIB))


def test_what_an_engine_tells_in_its_metrics_stands_where_its_log_says_nothing() -> None:
    memories = EngineMemories(ManualClock(), lambda _, __: "", gpu_bytes=dict)
    told = replace(engine("smol.box.1", kind="vllm"), load=EngineLoad(cache_bytes=7))

    (one,) = memories.told([told])

    assert one.memory_items == (MemoryItem(("kv cache",), 7),)
    assert (one.memory_bytes, one.memory_peak_bytes, one.vram_bytes) == (None, None, None)


def test_memory_on_gpus_is_that_of_all_its_processes_as_the_driver_tells_it(tmp_path: Path) -> None:
    file, clock, sizes = tmp_path / "weights", ManualClock(), dict[int, int | None]()
    file.write_bytes(b"x")
    memories = EngineMemories(clock, lambda _, __: "", gpu_bytes=lambda: sizes)
    with mapping(file) as process:
        running = loading(process.pid, "ready")
        for size in (5 * MIB, 3 * MIB):
            sizes[process.pid] = size
            memories.look([running])
            clock.advance(LOOK_EVERY_S)
        (one,) = memories.told([running])

    assert (one.vram_bytes, one.vram_peak_bytes) == (3 * MIB, 5 * MIB)


def test_a_process_on_two_gpus_has_the_sum_and_a_hidden_figure_makes_it_unknown() -> None:
    def gpu(number: int, *processes: GpuProcess) -> GpuFacts:
        return GpuFacts(PoolId(f"vram:{number}"), "GPU", None, None, processes)

    listed_twice = gpu(0, GpuProcess(1, 10), GpuProcess(1, 10), GpuProcess(2, 5))
    by_process = bytes_by_process(DriverFacts(None, (listed_twice, gpu(1, GpuProcess(1, 7), GpuProcess(3, None)))))

    assert by_process == {1: 17, 2: 5, 3: None}
    assert sum_known(by_process, (1, 2, 99)) == 22
    assert sum_known(by_process, (1, 3)) is None
    assert sum_known(by_process, (99,)) is None


def test_the_log_of_one_start_is_told_from_those_before_it(tmp_path: Path) -> None:
    paths, identity = StatePaths.at(tmp_path).ensure(), EngineId("fault-1")
    log_file(paths, identity).write_text("an earlier start\nthis start\n")
    lease = Lease(identity, 1, "1", "boot", 7, 1, None, 1, "1.0", spec(), 0.0, log_offset=len("an earlier start\n"))
    write_lease(paths.leases, lease)

    assert first_output(paths, identity, 7) == "this start\n"
    assert first_output(paths, identity, 6) == ""
    assert first_output(paths, EngineId("other"), 7) == ""

    write_lease(paths.leases, replace(lease, log_offset=None))  # by a version that did not note it
    assert first_output(paths, identity, 7) == ""
