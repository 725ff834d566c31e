"""Which process is meant: a pid with its start and its boot, so that a recycled pid is never taken for an engine."""

import functools
from dataclasses import dataclass
from pathlib import Path

import psutil

from inventory.host_facts import read_host


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    pid: int
    start_mark: str  # as the kernel tells it: immune to a wall clock that is set
    boot_id: str


@functools.cache
def boot_id() -> str:
    """This boot of the machine. It cannot change while this process lives."""
    return read_host().boot_id or "unknown"


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this pid, or None when there is none or only its exit status is left."""
    mark = _start_mark(pid)
    return None if mark is None else ProcessIdentity(pid, mark, boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    return identify(identity.pid) == identity


def listens(pid: int, port: int) -> bool | None:
    """Does this process, or a child of its, listen on the port? None where the system does not tell."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for member in family
            for connection in member.net_connections(kind="tcp")
        )
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, OSError):
        return None


def _start_mark(pid: int) -> str | None:
    if psutil.LINUX:
        # Not psutil.create_time(): it adds the boot time, which moves when the clock is set. Ticks since boot do not.
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        state, start_ticks = fields[0], fields[19]
        return None if state in (b"Z", b"X") else f"ticks:{start_ticks.decode()}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"time:{process.create_time():.6f}"
    except psutil.Error:
        return None
