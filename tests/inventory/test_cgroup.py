"""Memory limits of containers, in the files of both versions of cgroups."""

from pathlib import Path

from inventory.cgroup import MemoryLimit, group_of, memory_limit, memory_limits

UNLIMITED = "9223372036854771712\n"
LISTING = """9:name=systemd:/
8:pids:/
5:devices:/
4:memory:/jobs/one
1:cpu,cpuacct:/
0::/
"""


def machine(root: Path, listing: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(listing)
    for path, content in files.items():
        target = root / "sys/fs/cgroup" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return root


def test_the_group_that_governs_memory_is_found_in_either_version() -> None:
    assert (group_of(LISTING, 1), group_of(LISTING, 2)) == ("/jobs/one", "/")
    assert (group_of("0::/user.slice\n", 1), group_of("0::/user.slice\n", 2)) == (None, "/user.slice")
    assert group_of("3:cpu,memory:/both\n", 1) == "/both"
    assert group_of("4:memory:/../../out\n", 1) is None


def test_a_limit_of_version_1_counts_without_page_cache(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": UNLIMITED,
        "memory/jobs/memory.limit_in_bytes": "4000\n",
        "memory/jobs/memory.usage_in_bytes": "3500\n",
        "memory/jobs/memory.stat": "cache 3000\ntotal_cache 3000\ntotal_inactive_file 2000\ntotal_active_file 700\n",
        "memory/jobs/one/memory.limit_in_bytes": UNLIMITED,
    }

    assert memory_limit(machine(tmp_path, LISTING, files)) == MemoryLimit(4000, 800)


def test_every_limit_on_the_way_up_is_told(tmp_path: Path) -> None:
    files = {
        "memory/jobs/memory.limit_in_bytes": "4000\n",
        "memory/jobs/one/memory.limit_in_bytes": "1000\n",
        "memory/jobs/one/memory.usage_in_bytes": "100\n",
    }
    root = machine(tmp_path, LISTING, files)

    assert memory_limits(root) == (MemoryLimit(1000, 100), MemoryLimit(4000, None))
    assert memory_limit(root) == MemoryLimit(1000, 100)


def test_the_highest_number_of_version_1_is_no_limit(tmp_path: Path) -> None:
    files = {"memory/jobs/one/memory.limit_in_bytes": UNLIMITED}

    assert memory_limits(machine(tmp_path, LISTING, files)) == ()
