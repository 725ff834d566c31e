"""A cgroup with a memory limit for a test, of version 2 or 1: processes are started inside it, and when it is full the
kernel ends one of them."""

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

TOP = Path("/sys/fs/cgroup")
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@dataclass(frozen=True)
class MemoryGroup:
    directory: Path
    version: int
    limit_bytes: int

    @property
    def enter(self) -> tuple[str, ...]:
        """Words before a command: it and its children run inside."""
        return ("sh", "-c", ENTER, str(self.directory))

    @property
    def oom_kills(self) -> int:
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        fields = dict(line.split(" ", 1) for line in (self.directory / file).read_text().splitlines())
        return int(fields["oom_kill"])

    @property
    def used_bytes(self) -> int:
        return int((self.directory / ("memory.current" if self.version == 2 else "memory.usage_in_bytes")).read_text())

    @property
    def available_bytes(self) -> int:
        """What its processes can still have: page cache of files counts as free."""
        stat = dict(line.split(" ", 1) for line in (self.directory / "memory.stat").read_text().splitlines())
        prefix = "" if self.version == 2 else "total_"
        cached = sum(int(stat[f"{prefix}{name}"]) for name in ("active_file", "inactive_file"))
        return self.limit_bytes - self.used_bytes + cached

    def pids(self) -> list[int]:
        return [int(line) for line in (self.directory / "cgroup.procs").read_text().split()]

    def clear(self) -> None:
        """End what is left inside: everything there was started by the test."""
        end = monotonic() + 20
        while pids := self.pids():
            assert monotonic() < end, f"{pids} cannot be killed"
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            sleep(0.05)


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup]:
    """Skips the test where no group can be made: without root, without cgroups, on another system."""
    group = _made(limit_bytes)
    try:
        yield group
    finally:
        group.clear()
        group.directory.rmdir()


def _made(limit_bytes: int) -> MemoryGroup:
    controllers = TOP / "cgroup.subtree_control"
    version = 2 if controllers.exists() and "memory" in controllers.read_text().split() else 1
    directory = (TOP if version == 2 else TOP / "memory") / f"potluck-{secrets.token_hex(4)}"
    files = (
        {"memory.max": limit_bytes, "memory.swap.max": 0} if version == 2 else {"memory.limit_in_bytes": limit_bytes}
    )
    try:
        directory.mkdir()
        for name, value in files.items():
            if (directory / name).exists() or name != "memory.swap.max":
                (directory / name).write_text(str(value))
    except OSError as error:
        with contextlib.suppress(OSError):
            directory.rmdir()
        pytest.skip(f"no memory-limited cgroup can be made here: {error}")
    return MemoryGroup(directory, version, limit_bytes)
