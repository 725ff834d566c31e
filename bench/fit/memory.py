"""What an engine's processes take of the machine's memory, at one instant and at most over a while.

On Linux the figure has two parts. A process' own pages (anonymous, and shared memory) are counted by their proportional
size (Pss in /proc/PID/smaps_rollup): a page that two processes of the engine share then counts once in their sum, where
resident size would count it twice and private size not at all. Pages of files (libraries, and weights that are mapped
rather than read) are counted once for each file, from /proc/PID/smaps: by proportional size they would count less when
a stranger, such as another engine of the same kind, happens to map the same file, and the figure would depend on who
else is there. The two parts are kept, since the kernel can drop pages of files and read them again.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from inventory.mac_footprint import footprint_bytes
from inventory.process_memory import COMPILERS

SAMPLE_S = 0.05
FAMILY_EVERY = 40  # samples between two looks for new processes

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ (\S+ \d+) *(.*)$")  # device and inode, then the path
_SHARED_MEMORY = ("/dev/shm/", "/dev/zero", "/memfd:", "/SYSV")  # has an inode, and no file that could be read again


@dataclass(frozen=True, slots=True)
class Usage:
    """`file_bytes` is a part of the total; 0 where the system does not charge a process for them."""

    total_bytes: int = 0
    file_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        return self.total_bytes - self.file_bytes


def usage_of(pids: frozenset[int]) -> Usage:
    return _with_files(sum(map(_own_bytes, pids)), pids)


def session_of(leader: int) -> frozenset[int]:
    """All processes of the session, less compilers: mlx-lm and PyTorch run them once for each kernel, and the kernel
    is kept for later starts."""
    return frozenset(pid for pid in psutil.pids() if _in_session(pid, leader) and _name(pid) not in COMPILERS)


def parse_rollup(text: str) -> int:
    """/proc/PID/smaps_rollup: all but the pages of files."""
    sizes = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) << 10
    return sizes["Pss"] - sizes["Pss_File"]


def parse_files(text: str) -> Counter[str]:
    """/proc/PID/smaps: resident bytes of each file, less the pages that the process has changed and so made its own."""
    files: Counter[str] = Counter()
    file: str | None = None
    for line in text.splitlines():
        if mapping := _MAPPING.match(line):
            inode, path = mapping.groups()
            file = None if not path.startswith("/") or path.startswith(_SHARED_MEMORY) else inode
        elif file is not None and line.startswith(("Rss:", "Anonymous:")):
            size_bytes = int(line.split()[1]) << 10
            files[file] += size_bytes if line.startswith("Rss:") else -size_bytes
    return files


class PeakMeter:
    """Looks at an engine's memory again and again, in a thread, from entry to exit; at its files once, at the exit."""

    def __init__(self, leader: int) -> None:
        self._leader, self._ended = leader, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = Usage()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        own_bytes = 0
        for family in self._looks():
            own_bytes = max(own_bytes, sum(map(_own_bytes, family)))
        self.peak = _with_files(own_bytes, session_of(self._leader))

    def _looks(self) -> Iterator[frozenset[int]]:
        family: frozenset[int] = frozenset()
        number, ended = 0, False
        while not ended:
            ended = self._ended.wait(SAMPLE_S)  # and once more after that: what is held at the end is not missed
            if number % FAMILY_EVERY == 0 or ended:
                family = session_of(self._leader)
            number += 1
            yield family


def _with_files(own_bytes: int, pids: frozenset[int]) -> Usage:
    """Processes of one engine map the same files in the same way: each counts as its widest reader has it."""
    files: Counter[str] = Counter()
    for pid in pids:
        files |= _files(pid)
    return Usage(own_bytes + files.total(), files.total())


def _own_bytes(pid: int) -> int:
    try:
        if psutil.LINUX:
            return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return footprint_bytes(pid)
    except (OSError, KeyError):  # it has ended, or is a zombie, whose file is empty
        return 0


def _files(pid: int) -> Counter[str]:
    try:
        return parse_files(Path(f"/proc/{pid}/smaps").read_text()) if psutil.LINUX else Counter()
    except OSError:
        return Counter()


def _in_session(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""
