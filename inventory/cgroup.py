"""The memory limit of the container this process runs in, from the cgroup v2 tree (Linux)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    total_bytes: int
    used_bytes: int | None  # without page cache that can be dropped; None where it cannot be read


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """The lowest limit on the path from this process's group to the top, or None where there is none."""
    own = _own_group(root / "proc/self/cgroup")
    if own is None:
        return None
    top = root / "sys/fs/cgroup"
    group = top / own.lstrip("/")
    limits = [
        (total, directory)
        for directory in (group, *group.parents)
        if directory.is_relative_to(top) and (total := _number(directory / "memory.max")) is not None
    ]
    if not limits:
        return None
    total, directory = min(limits, key=lambda found: found[0])
    return MemoryLimit(total, _used(directory))


def _own_group(listing: Path) -> str | None:
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::/") and ".." not in line), None)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" means no limit


def _used(directory: Path) -> int | None:
    current = _number(directory / "memory.current")
    if current is None:
        return None
    try:
        lines = (directory / "memory.stat").read_text().splitlines()
    except OSError:
        return current
    counts = dict(line.split(" ", 1) for line in lines if " " in line)
    cached = sum(int(counts.get(name, "0")) for name in ("active_file", "inactive_file"))
    return max(0, current - cached)
