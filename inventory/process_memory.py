"""What a family of processes holds of main memory, cheaply enough to ask every few seconds."""

from collections.abc import Iterable

import psutil

from inventory.mac_footprint import footprint_bytes


def held_bytes(pids: Iterable[int]) -> int | None:
    """Of all these processes together; None where none of them can be read.

    On Linux, what each has for itself is summed, and pages that can be shared (mapped files, libraries, shared memory)
    are counted once, as many as the process with most of them has: its engine's weights are in there. A walk through
    their page tables would be exact, and takes seconds for an engine of a hundred GiB.
    """
    own, shared, read = 0, 0, False
    for pid in pids:
        try:
            process = psutil.Process(pid)
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
    return own + shared if read else None
