"""Starting and stopping everything on this machine: the supervisor process, and what a crash may have left."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from cli.output import talk
from inventory.paths import StatePaths
from nodes.role_lock import RoleRecord, ServiceRole, running

if TYPE_CHECKING:
    from nodes.ray_process import FamilyName

STOP_GRACE_S = 40.0
ORPHAN_GRACE_S = 10.0
ROLES: tuple[ServiceRole, ...] = ("up", "gateway", "head", "ray-bridge", "node")
FAMILIES: "tuple[FamilyName, ...]" = ("ray-head", "raylet")


class StartFailedError(Exception):
    """The supervisor ended during start. The command prints the end of its log and exits 1."""

    def __init__(self, log_file: Path, tail: str) -> None:
        super().__init__(f"potluck did not start; the end of {log_file}:\n{tail}")
        self.log_file = log_file


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The supervisor process of a foreground `up`. It dies with this process, because it watches its stdin."""

    process: subprocess.Popen[bytes]

    def wait_to_end(self) -> None:
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `potluck up` was asked for."""

    config: Path | None = None
    install: bool = False
    host: str | None = None
    port: int | None = None
    detach: bool = False
    sealed: bool = False


def ensure_running(paths: StatePaths, wishes: Wishes) -> Supervisor | None:
    """Start the supervisor unless one runs. Returns it when this call started it, else None.

    A service that outlived its supervisor is waited for: it notices the end of its stdin and leaves engines alone.
    """
    from cli.prepare import prepare
    from cli.sealing import refuse_if_running_open, refuse_to_install
    from cluster.keys import check_private

    if wishes.config is not None:
        from cli.prepare import adopt_config

        adopt_config(paths, wishes.config)
    if wishes.sealed:
        refuse_if_running_open(paths)
    if running(paths.run, "up") is not None:
        return None
    check_private(paths)  # now, where a person can read it: the services refuse as well, in their logs
    _wait_for_orphans(paths)
    if wishes.install:
        refuse_to_install(paths, wishes.sealed)
    prepare(paths, wishes.install)
    host, port = wishes.host, wishes.port
    check_door(paths, host, port)
    arguments = (["--host", host] if host else []) + (["--port", str(port)] if port is not None else [])
    return start(paths, ["supervise", *arguments, *(["--sealed"] if wishes.sealed else [])], wishes.detach)


def check_door(paths: StatePaths, host: str | None, port: int | None) -> None:
    """Raises CannotListenError now, where a person can read it, rather than in the log of a service."""
    from cli.wire import gateway_door
    from router.service import listen

    listen(*gateway_door(paths, host, port)).close()


def start(paths: StatePaths, command: list[str], detach: bool) -> Supervisor:
    """Returns once the supervisor has its lock. Raises StartFailedError."""
    log_file = paths.logs / "up.log"
    argv = [sys.executable, "-P", "-m", "cli.main", *command, "--state-dir", str(paths.root)]
    if not detach:
        argv.append("--supervised")
    with ExitStack() as stack:
        output = stack.enter_context(log_file.open("ab"))
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if detach else subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=detach,
            cwd=paths.root,
        )
    deadline = monotonic() + 20
    while running(paths.run, "up") is None:
        if process.poll() is not None or monotonic() > deadline:
            raise StartFailedError(log_file, tail_of(log_file))
        sleep(0.02)
    return Supervisor(process)


def stop_everything(paths: StatePaths) -> list[str]:
    """Stop the supervisor in order; then whatever a crash left: services by their locks, engines and Ray by leases."""
    from nodes import ray_process
    from nodes.leases import reap

    if not paths.root.exists():
        return []
    stopped: list[str] = []
    for role in ROLES:
        record = running(paths.run, role)
        if record is not None:
            _end(paths, role, record, STOP_GRACE_S)
            stopped.append(f"{role} ({record.pid})")
    stopped += [f"engine {lease.engine_id} ({lease.pid})" for lease in reap(paths.leases, grace_s=5.0)]
    stopped += [family for family in FAMILIES if ray_process.reap(ray_process.lease_file(paths, family))]
    return stopped


def tail_of(log_file: Path, limit: int = 2000) -> str:
    return log_file.read_text(errors="replace")[-limit:] if log_file.exists() else "(no log)"


def _wait_for_orphans(paths: StatePaths) -> None:
    """Services whose supervisor was killed end by themselves within seconds; one that does not is ended."""
    deadline = monotonic() + ORPHAN_GRACE_S
    for role in ROLES[1:]:
        while (record := running(paths.run, role)) is not None and monotonic() < deadline:
            sleep(0.05)
        if record is not None:
            talk(f"ending {role} ({record.pid}), left over from an earlier run")
            _end(paths, role, record, ORPHAN_GRACE_S)


def _end(paths: StatePaths, role: ServiceRole, record: RoleRecord, grace_s: float) -> None:
    """SIGTERM, then SIGKILL once the grace is over. The role's lock tells when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return
        deadline = monotonic() + grace_s
        while monotonic() < deadline:
            current = running(paths.run, role)
            if current is None or current.pid != record.pid:
                return
            sleep(0.05)
