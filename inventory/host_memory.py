"""Main memory as this machine's engines share it with everything else, containers included."""

from collections.abc import Callable
from pathlib import Path

import psutil

from inventory.cgroup import MemoryLimit, memory_limit
from inventory.hardware import HostMemory
from inventory.mac_footprint import footprint_bytes

FindLimit = Callable[[Path], MemoryLimit | None]


def read_host_memory(own_pids: frozenset[int], root: Path = Path("/"), limit: FindLimit = memory_limit) -> HostMemory:
    """`own_pids` are engines; what they and their workers hold is not counted."""
    warnings: list[str] = []
    memory = psutil.virtual_memory()
    total: int = memory.total
    used: int | None = total - memory.available
    found = limit(root)
    if found is not None and found.total_bytes < total:
        total, used = found.total_bytes, found.used_bytes
    own = _private_bytes(with_descendants(own_pids), warnings) if own_pids else 0
    return HostMemory(total, None if used is None else max(0, used - own), tuple(warnings))


def with_descendants(pids: frozenset[int]) -> frozenset[int]:
    """Engines fork workers: all processes below `pids`, found in one pass over the process table."""
    if not pids:
        return pids
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found, ahead = set(pids), list(pids)
    while ahead:
        fresh = [child for child in children.get(ahead.pop(), ()) if child not in found]
        found.update(fresh)
        ahead.extend(fresh)
    return frozenset(found)


def _private_bytes(pids: frozenset[int], warnings: list[str]) -> int:
    """Memory that only goes away with these processes.

    Pages mapped from files are left out: weights that an engine maps are page cache, which the system already
    reports as available. Subtracting them as well would hide as much use by others.
    """
    total, unreadable = 0, 0
    for pid in pids:
        try:
            total += _private_bytes_of(psutil.Process(pid))
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
        except (psutil.AccessDenied, PermissionError):
            unreadable += 1
    if unreadable:
        warnings.append(f"the memory of {unreadable} engine processes cannot be read; it is counted as used by others")
    return total


def _private_bytes_of(process: psutil.Process) -> int:
    if psutil.LINUX:
        memory = process.memory_info()
        return int(memory.rss - memory.shared)
    if psutil.MACOS:
        return footprint_bytes(process.pid)
    return int(process.memory_full_info().uss)
