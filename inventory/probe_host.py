"""What any operating system tells about the machine: host, RAM, load, and the disk of the model store."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil

from inventory.cgroup import MemoryLimit, memory_limit
from inventory.hardware import Disk, Host, MemoryPool, PoolId
from inventory.host_facts import read_host
from inventory.probe import Reading

GIB = 1 << 30


def default_reserve(total_bytes: int) -> int:
    """What the operating system keeps unless the operator says otherwise: 5 % of the memory, at least 1 GiB."""
    return max(GIB, total_bytes // 20)


class HostProbe:
    """`root` is where /proc and /sys are looked for; `limit` finds a container's memory limit below it."""

    name = "host"

    def __init__(
        self,
        store: Path,
        reserved_bytes: int | None = None,
        root: Path = Path("/"),
        limit: Callable[[Path], MemoryLimit | None] = memory_limit,
    ) -> None:
        self._store, self._reserved_bytes, self._root, self._limit = store, reserved_bytes, root, limit
        self._host: Host | None = None

    def read(self, own_pids: frozenset[int]) -> Reading:
        warnings: list[str] = []
        self._host = self._host or read_host(self._root)  # does not change while a process lives
        return Reading(
            host=self._host,
            pools=(self._memory(own_pids, warnings),),
            disk=self._disk(warnings),
            cpu_load=_load(),
            warnings=tuple(warnings),
        )

    def _memory(self, own_pids: frozenset[int], warnings: list[str]) -> MemoryPool:
        memory = psutil.virtual_memory()
        total: int = memory.total
        used: int | None = total - memory.available
        limit = self._limit(self._root)
        if limit is not None and limit.total_bytes < total:
            total, used = limit.total_bytes, limit.used_bytes
        own = _private_bytes(_with_descendants(own_pids), warnings) if own_pids else 0
        return MemoryPool(
            pool_id=PoolId("ram"),
            kind="ram",
            total_bytes=total,
            used_by_others_bytes=None if used is None else max(0, used - own),
            reserved_bytes=default_reserve(total) if self._reserved_bytes is None else self._reserved_bytes,
        )

    def _disk(self, warnings: list[str]) -> Disk | None:
        place = next((path for path in (self._store, *self._store.parents) if path.exists()), None)
        try:
            usage = shutil.disk_usage(place or self._store)
        except OSError as error:
            warnings.append(f"the disk of {self._store} cannot be read: {error.strerror}")
            return None
        return Disk(str(self._store), usage.total, usage.free)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # AttributeError: Windows has no such call
        return None


def _with_descendants(pids: frozenset[int]) -> frozenset[int]:
    """Engines fork workers: all processes below `pids`, found in one pass over the process table."""
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
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            unreadable += 1
    if unreadable:
        warnings.append(f"the memory of {unreadable} engine processes cannot be read; it is counted as used by others")
    return total


def _private_bytes_of(process: psutil.Process) -> int:
    if psutil.LINUX:
        memory = process.memory_info()
        return int(memory.rss - memory.shared)
    return int(process.memory_full_info().uss)
