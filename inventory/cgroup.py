"""The memory limits of the container this process runs in, from the cgroup tree, version 2 or 1 (Linux)."""

from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60  # version 1 writes "no limit" as the highest page number there is
_VERSION_1_ROOT = "sys/fs/cgroup/memory"


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    total_bytes: int
    used_bytes: int | None  # without page cache that can be dropped; None where it cannot be read


@dataclass(frozen=True, slots=True)
class _Files:
    """What one version of cgroups calls its files."""

    limit: str
    usage: str
    cached: tuple[str, ...]  # fields of memory.stat, over the whole subtree


_VERSION_2 = _Files("memory.max", "memory.current", ("active_file", "inactive_file"))
_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """The lowest limit on the path from this process's group to the top, or None where there is none."""
    return min(memory_limits(root), key=lambda limit: limit.total_bytes, default=None)


def memory_limits(root: Path = Path("/")) -> tuple[MemoryLimit, ...]:
    """Every limit on that path. The one that is nearest need not be the lowest: others may use a group above it."""
    try:
        listing = (root / "proc/self/cgroup").read_text()
    except OSError:
        return ()
    found: list[MemoryLimit] = []
    for group, files, top in (
        (group_of(listing, version=2), _VERSION_2, root / "sys/fs/cgroup"),
        (group_of(listing, version=1), _VERSION_1, root / _VERSION_1_ROOT),
    ):
        if group is not None:
            found += _limits(top / group.lstrip("/"), top, files)
    return tuple(found)


def group_of(listing: str, version: int) -> str | None:
    """The group that governs memory, from the lines `ID:CONTROLLERS:PATH` of /proc/self/cgroup. Version 2 names no
    controllers. A path that leads out of the tree, as a container may see it, is none."""
    for line in listing.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mine = (number, controllers) == ("0", "") if version == 2 else "memory" in controllers.split(",")
        if mine and ".." not in path:
            return path
    return None


def _limits(group: Path, top: Path, files: _Files) -> list[MemoryLimit]:
    return [
        MemoryLimit(total, _used(directory, files))
        for directory in (group, *group.parents)
        if directory.is_relative_to(top)
        and (total := _number(directory / files.limit)) is not None
        and total < _NO_LIMIT
    ]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" means no limit


def _used(directory: Path, files: _Files) -> int | None:
    current = _number(directory / files.usage)
    if current is None:
        return None
    try:
        text = (directory / "memory.stat").read_text()
    except OSError:
        return current
    return max(0, current - cached_bytes(text, files.cached))


def cached_bytes(stat: str, names: tuple[str, ...]) -> int:
    """Page cache of files in a memory.stat."""
    counts = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    return sum(int(counts.get(name, "0")) for name in names)
