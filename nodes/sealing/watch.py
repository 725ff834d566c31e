"""What the guard cannot hear of: connections of C code and of programs that are not Python, found by looking at them.

A look every few seconds sees what lasts as long. It refuses nothing; it writes down, and warns.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import psutil
import structlog

from inventory.paths import StatePaths
from nodes.leases import leased
from nodes.ray_process import FamilyName, lease_file, read_lease
from nodes.role_lock import ServiceRole, running
from nodes.sealing import guard
from nodes.sealing.place import SealedRules, read_rules

LOOK_EVERY_S = 2.0
JOURNAL_LIMIT_BYTES = 8 << 20

log = structlog.get_logger("potluck.sealed")


@dataclass(frozen=True, slots=True)
class Connection:
    """A socket of a process with another end. `local_port` tells which of the two began."""

    pid: int
    program: str
    local_port: int
    address: str
    port: int
    listening: frozenset[int] = frozenset()  # ports on which the same process listens

    @property
    def is_answer(self) -> bool:
        """Whether somebody else began it."""
        return self.local_port in self.listening


def strangers(connections: Iterable[Connection], rules: SealedRules) -> tuple[Connection, ...]:
    """Those that somebody here began, with an address outside the cluster."""
    return tuple(one for one in connections if not one.is_answer and not rules.allows(one.address))


def own_pids(paths: StatePaths) -> frozenset[int]:
    """Services, engines and Ray of this state directory, and whatever they started."""
    roots = {record.pid for role in get_args(ServiceRole) if (record := running(paths.run, role)) is not None}
    leaders = {lease.pid for lease in leased(paths.leases) if lease.alive}
    leaders |= {
        lease.pid for name in get_args(FamilyName) if (lease := read_lease(lease_file(paths, name))) is not None
    }
    found = set(roots)
    for pid in psutil.pids():
        try:
            if os.getsid(pid) in leaders or (pid in roots | leaders):
                found.add(pid)
        except (ProcessLookupError, PermissionError):
            continue
    for pid in tuple(found):
        try:
            found.update(child.pid for child in psutil.Process(pid).children(recursive=True))
        except psutil.Error:
            continue
    return frozenset(found)


def connections_of(pids: Iterable[int]) -> tuple[Connection, ...]:
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            sockets = process.net_connections(kind="inet")
            program = process.name()
        except (psutil.Error, OSError):
            continue
        listening = frozenset(one.laddr.port for one in sockets if one.laddr and one.status == psutil.CONN_LISTEN)
        found += [
            Connection(pid, program, one.laddr.port, str(one.raddr.ip), int(one.raddr.port), listening)
            for one in sockets
            if one.raddr and one.laddr
        ]
    return tuple(found)


class SealedWatch:
    """`run` looks until it is cancelled, whenever this machine is sealed."""

    def __init__(self, paths: StatePaths, every_s: float = LOOK_EVERY_S) -> None:
        self._paths, self._every_s = paths, every_s
        self._journal = paths.sealed / guard.JOURNAL
        self._known: frozenset[tuple[int, str, int]] = frozenset()

    async def run(self) -> None:
        while True:
            rules = read_rules(self._paths)
            if rules is not None and rules.sealed:
                self.tell(await asyncio.to_thread(self.look, rules))
            await asyncio.sleep(self._every_s)

    def look(self, rules: SealedRules) -> tuple[Connection, ...]:
        """In a thread: it reads about every process of ours."""
        keep_small(self._paths)
        return strangers(connections_of(own_pids(self._paths)), rules)

    def tell(self, seen: Sequence[Connection]) -> None:
        """Each once for as long as it lasts."""
        for one in seen:
            if (one.pid, one.address, one.port) not in self._known:
                peer = f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"
                log.warning("sealed_mode_was_passed", name=one.program, peer=peer, pid=one.pid)
                guard.Journal(str(self._journal), one.program).note("passed", "is connected to", peer, ())
        self._known = frozenset((one.pid, one.address, one.port) for one in seen)


def keep_small(paths: StatePaths) -> None:
    """One older journal is kept."""
    journal = paths.sealed / guard.JOURNAL
    if journal.exists() and journal.stat().st_size > JOURNAL_LIMIT_BYTES:
        journal.replace(journal.with_name(journal.name + ".1"))
