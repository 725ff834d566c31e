"""Ray's processes on this machine, under their daemon: started, watched, started again, and ended to the last one.

Ray is a family: GCS, raylet, agents and workers, all in the session that their leader opens. A lease names the
leader, so that a daemon that was restarted takes the family over instead of starting a second one.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import psutil
import structlog

from inventory.clock import Clock
from inventory.secret_files import write_secret
from nodes.engines.base import Command
from nodes.process import EngineProcess
from nodes.process_identity import ProcessIdentity, boot_id, identify, is_alive

FIRST_BACKOFF_S, LAST_BACKOFF_S = 1.0, 15.0
HEALTHY_AFTER_S = 60.0
EARLY_DEATHS_THAT_BLAME_THE_STORE = 3
STOP_GRACE_S = 3.0  # nothing in it needs a goodbye
LOOK_EVERY_S = 15.0
SESSIONS_KEPT = 2

RayState = Literal["stopped", "running", "waiting"]

log = structlog.get_logger("potluck.ray")


@dataclass(frozen=True, slots=True)
class RayRun:
    """One Ray family: its command, and the files around it."""

    name: Literal["ray-head", "raylet"]
    command: Command
    home: Path
    home_files: tuple[tuple[str, str], ...]  # name and text of what must lie in its home
    temp_dir: Path
    store: Path | None  # what GCS remembers; None for a raylet
    certificate: Path | None  # Ray reads it only when it starts, so that a renewed one means to start again
    lease_file: Path
    log_file: Path

    def mark(self) -> str:
        """Tells a family that was started with other settings, or with a certificate that was renewed since."""
        certificate = self.certificate.read_bytes() if self.certificate else b""
        return hashlib.sha256(msgspec.json.encode(self.command) + certificate).hexdigest()


@dataclass(frozen=True, slots=True)
class RayLease:
    pid: int
    start_mark: str
    boot_id: str
    mark: str

    @property
    def identity(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.start_mark, self.boot_id)


class RayProcess:
    """One task runs `run`; others only look at `state`."""

    def __init__(
        self, run: RayRun, clock: Clock, stop_grace_s: float = STOP_GRACE_S, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._run, self._clock = run, clock
        self._stop_grace_s, self._look_every_s = stop_grace_s, look_every_s
        self._early_deaths = 0
        self.state: RayState = "stopped"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, which ends the family. A cancelled task leaves it running, for the next daemon to adopt."""
        process = self._adopt()
        while not stop.is_set():
            started_s, renewed = self._clock.monotonic_s(), False
            try:
                process = process or self._start()
            except OSError as error:
                log.warning("ray_cannot_start", ray=self._run.name, error=str(error))
            else:
                self.state = "running"
                renewed = await self._until_gone(process, stop)
            process = None
            if not stop.is_set() and not renewed:
                self.state = "waiting"
                await self._back_off(self._clock.monotonic_s() - started_s, stop)
        self.state = "stopped"

    def _adopt(self) -> EngineProcess | None:
        """The family of a former daemon, if it is the one that would be started now; another one is ended."""
        lease = read_lease(self._run.lease_file)
        if lease is None or lease.boot_id != boot_id():
            return None
        if is_alive(lease.identity) and lease.mark == self._run.mark():
            log.info("ray_adopted", ray=self._run.name, ray_pid=lease.pid)
            return EngineProcess.adopt(lease.identity)
        end_family(lease.identity)
        return None

    def _start(self) -> EngineProcess:
        self._prepare()
        process = EngineProcess.hold(self._run.command, self._run.log_file)
        identity = process.identity
        lease = RayLease(identity.pid, identity.start_mark, identity.boot_id, self._run.mark())
        try:
            write_secret(self._run.lease_file, msgspec.json.encode(lease).decode())
        except OSError:
            process.discard()
            raise
        process.release()
        log.info("ray_started", ray=self._run.name, ray_pid=identity.pid)
        return process

    def _prepare(self) -> None:
        run = self._run
        for directory in (run.home, run.temp_dir, run.lease_file.parent, *((run.store,) if run.store else ())):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in run.home_files:
            (run.home / name).write_text(text)
        # Left behind by a head that was killed; with it the next head may believe that it already runs.
        (run.temp_dir / "ray_current_cluster").unlink(missing_ok=True)
        sessions = sorted(path for path in run.temp_dir.glob("session_*") if not path.is_symlink())
        for old in sessions[:-SESSIONS_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    async def _until_gone(self, process: EngineProcess, stop: asyncio.Event) -> bool:
        """Until the family has ended, of itself or because it must. True when it did for a renewed certificate."""
        gone, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        renewed = asyncio.create_task(self._renewal())
        try:
            await asyncio.wait([gone, stopped, renewed], return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                process.signal(signal.SIGTERM)
                await asyncio.wait([gone], timeout=self._stop_grace_s)
                process.signal(signal.SIGKILL)
            await gone
        finally:
            for task in (gone, stopped, renewed):
                task.cancel()
        end_family(process.identity)
        self._run.lease_file.unlink(missing_ok=True)
        return renewed.done() and not renewed.cancelled()

    async def _renewal(self) -> None:
        """Until the certificate is another one than it was."""
        before = self._run.mark()
        while self._run.mark() == before:  # noqa: ASYNC110  a file that is replaced tells nobody
            await asyncio.sleep(self._look_every_s)

    async def _back_off(self, lived_s: float, stop: asyncio.Event) -> None:
        self._early_deaths = 0 if lived_s >= HEALTHY_AFTER_S else self._early_deaths + 1
        store = self._run.store
        if store is not None and self._early_deaths >= EARLY_DEATHS_THAT_BLAME_THE_STORE:
            log.warning("ray_store_dropped", ray=self._run.name, store=str(store))
            shutil.rmtree(store, ignore_errors=True)  # it holds nothing that the bridge does not make again
        wait_s = next_wait_s(self._early_deaths)
        log.warning("ray_died", ray=self._run.name, lived_s=round(lived_s, 1), restart_in_s=wait_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)


def next_wait_s(early_deaths: int) -> float:
    """Seconds until the next start: doubles with each death soon after a start."""
    return min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** max(0, early_deaths - 1))


def read_lease(path: Path) -> RayLease | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RayLease)
    except (OSError, msgspec.MsgspecError):
        return None


def end_family(leader: ProcessIdentity) -> None:
    """Kill the leader and everything in its session. Its number means nobody else as long as one of them lives."""
    now = identify(leader.pid)
    if now is not None and now != leader:
        return  # the number went to another process, so the whole session is gone
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader.pid:
                os.kill(pid, signal.SIGKILL)


def reap(lease_file: Path) -> bool:
    """End the family that a lease names, without any daemon. True when there was one."""
    lease = read_lease(lease_file)
    if lease is None or lease.boot_id != boot_id():
        return False
    alive = is_alive(lease.identity)
    end_family(lease.identity)
    lease_file.unlink(missing_ok=True)
    return alive
