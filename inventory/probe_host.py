"""What any operating system tells about the machine: host, RAM, load, and the disk of the model store."""

import os
import shutil
from pathlib import Path

from inventory.cgroup import memory_limit
from inventory.hardware import Disk, Host, MemoryPool, PoolId, reserve
from inventory.host_facts import read_host
from inventory.host_memory import FindLimit, read_host_memory
from inventory.probe import Reading


class HostProbe:
    """`root` is where /proc and /sys are looked for; `limit` finds a container's memory limit below it."""

    name = "host"

    def __init__(
        self,
        store: Path,
        reserved_bytes: int | None = None,
        root: Path = Path("/"),
        limit: FindLimit = memory_limit,
    ) -> None:
        self._store, self._reserved_bytes, self._root, self._limit = store, reserved_bytes, root, limit
        self._host: Host | None = None

    def read(self, own_pids: frozenset[int]) -> Reading:
        self._host = self._host or read_host(self._root)  # does not change while a process lives
        memory = read_host_memory(own_pids, self._root, self._limit)
        pool = MemoryPool(
            pool_id=PoolId("ram"),
            kind="ram",
            total_bytes=memory.total_bytes,
            used_by_others_bytes=memory.used_by_others_bytes,
            reserved_bytes=reserve(memory.total_bytes, self._reserved_bytes),
        )
        warnings = list(memory.warnings)
        disk = self._disk(warnings)
        return Reading(host=self._host, pools=(pool,), disk=disk, cpu_load=_load(), warnings=tuple(warnings))

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
