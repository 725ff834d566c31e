"""What a family of processes holds of main memory, cheaply enough to ask every few seconds."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from inventory.mac_footprint import footprint_bytes

COMPILERS = frozenset({"as", "c++", "cc1plus", "clang++", "collect2", "g++", "ld"})


@dataclass(frozen=True, slots=True)
class HeldMemory:
    """Of several processes together. What macOS charges a process for has no shared part."""

    own_bytes: int
    shared_bytes: int  # mapped files, libraries and shared memory: pages that the kernel counts in more than one

    @property
    def total_bytes(self) -> int:
        return self.own_bytes + self.shared_bytes


def held_by(pids: Iterable[int]) -> HeldMemory | None:
    """None where none of them can be read.

    On Linux, what each has for itself is summed, and pages that can be shared (mapped files, libraries, shared memory)
    are counted once, as many as the process with most of them has: its engine's weights are in there. A walk through
    their page tables would be exact, and takes seconds for an engine of a hundred GiB. Compilers are left out: engines
    run them once for each kernel, and keep the kernel for later starts.
    """
    own, shared, read = 0, 0, False
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.name() in COMPILERS:
                continue
            if psutil.LINUX:
                memory = process.memory_info()
                own, shared = own + memory.rss - memory.shared, max(shared, memory.shared)
            elif psutil.MACOS:
                own += footprint_bytes(pid)
            else:
                own += process.memory_info().rss
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
        read = True
    return HeldMemory(own, shared) if read else None
