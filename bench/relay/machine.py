"""The machine under the bench: which core each side gets, and what a process tree has used of it."""

import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of load generator and mock engine, and the core of the proxy. None where processes cannot be pinned."""

    load: int | None
    proxy: int | None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The first two cores that this process may use. macOS pins nothing, and a single core cannot be divided."""
        if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
            return cls(None, None)
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)


def pinned(command: Sequence[str], core: int | None) -> tuple[str, ...]:
    """The command, bound to one core before its first thread exists: a router sizes its thread pool by what it sees."""
    return tuple(command) if core is None else ("taskset", "-c", str(core), *command)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time used so far and resident memory now, summed over a process tree. Shared pages count once a process."""

    cpu_s: float
    rss_bytes: int


def usage_of_tree(pid: int) -> Usage:
    root = psutil.Process(pid)
    cpu_s, rss_bytes = 0.0, 0
    for process in (root, *root.children(recursive=True)):
        with process.oneshot():
            times = process.cpu_times()
            cpu_s += times.user + times.system
            rss_bytes += process.memory_info().rss
    return Usage(cpu_s, rss_bytes)


class ForeignLoad:
    """How many cores' worth of other people's work ran beside the bench. Above a tenth of a core, distrust the run."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._busy_s, self._ours_s = _busy_s(), _ours_s()

    def cores(self) -> float:
        foreign_s = (_busy_s() - self._busy_s) - (_ours_s() - self._ours_s)
        return max(0.0, foreign_s / (time.monotonic() - self._began_s))


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "softirq", 0.0) + getattr(times, "irq", 0.0))


def _ours_s() -> float:
    """Living processes of the bench, and those that have ended and were waited for."""
    ended = os.times()
    return usage_of_tree(os.getpid()).cpu_s + ended.children_user + ended.children_system


def free_port() -> int:
    """A loopback port that nobody holds at this moment. Peers that cannot choose their own port are told this one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
