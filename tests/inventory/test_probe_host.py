"""The host probe on the machine that runs the tests, and in containers made of files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inventory.cgroup import MemoryLimit, memory_limit
from inventory.hardware import GIB, default_reserve
from inventory.probe import survey
from inventory.probe_host import HostProbe

HOLDER = """
block = bytearray(256 << 20)
for at in range(0, len(block), 4096):
    block[at] = 1
print("ready", flush=True)
input()
"""


@pytest.fixture
def holder() -> Iterator[int]:
    """The pid of a parent whose child holds 256 MiB."""
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {HOLDER!r}])"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid
    process.communicate(b"\n", timeout=20)


def test_this_machine_is_described() -> None:
    hardware = survey([HostProbe(Path("/nowhere/yet/models"))], frozenset())

    assert hardware.warnings == ()
    assert hardware.host.boot_id
    assert hardware.host.logical_cores == psutil.cpu_count()
    assert hardware.disk is not None
    assert hardware.disk.path == "/nowhere/yet/models"
    (ram,) = hardware.pools
    assert 0 < ram.total_bytes <= psutil.virtual_memory().total
    assert ram.used_by_others_bytes is not None
    assert ram.reserved_bytes == default_reserve(ram.total_bytes)


def test_memory_of_our_engines_and_their_workers_is_not_used_by_others(holder: int) -> None:
    def used(own: frozenset[int]) -> int:
        (ram,) = HostProbe(Path("/"), limit=lambda _: None).read(own).pools
        assert ram.used_by_others_bytes is not None
        return ram.used_by_others_bytes

    # Other processes come and go meanwhile, so half of the 256 MiB is proof enough.
    assert used(frozenset()) - used(frozenset({holder})) > 128 << 20


def test_a_process_that_is_gone_counts_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(timeout=20)

    assert HostProbe(Path("/")).read(frozenset({gone.pid})).warnings == ()


def test_the_operators_reserve_beats_the_default() -> None:
    (ram,) = HostProbe(Path("/"), reserved_bytes=0).read(frozenset()).pools

    assert ram.reserved_bytes == 0
    assert (default_reserve(4 * GIB), default_reserve(512 * GIB)) == (GIB, 512 * GIB // 20)


def test_a_container_has_the_memory_of_its_limit() -> None:
    probe = HostProbe(Path("/"), limit=lambda _: MemoryLimit(GIB, GIB // 4))
    (ram,) = probe.read(frozenset()).pools
    (unreadable,) = HostProbe(Path("/"), limit=lambda _: MemoryLimit(GIB, None)).read(frozenset({os.getpid()})).pools

    assert (ram.total_bytes, ram.used_by_others_bytes) == (GIB, GIB // 4)
    assert (unreadable.used_by_others_bytes, unreadable.budget_bytes) == (None, None)


def container(root: Path, group: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:cpu:/old\n0::{group}\n")
    for path, content in files.items():
        target = root / "sys/fs/cgroup" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return root


def test_the_lowest_limit_on_the_way_up_counts_without_page_cache(tmp_path: Path) -> None:
    files = {
        "a/memory.max": "2000\n",
        "a/memory.current": "900\n",
        "a/memory.stat": "anon 500\nactive_file 100\ninactive_file 300\n",
        "a/b/memory.max": "max\n",
    }

    assert memory_limit(container(tmp_path, "/a/b", files)) == MemoryLimit(2000, 500)


def test_no_limit_is_none(tmp_path: Path) -> None:
    assert memory_limit(container(tmp_path, "/a", {"a/memory.max": "max\n"})) is None
    assert memory_limit(tmp_path / "not-linux") is None


def test_a_group_that_leads_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    assert memory_limit(container(tmp_path, "/../../x", {"memory.max": "5"})) is None
