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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import psutil
import structlog

from inventory.clock import Clock
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.engines.base import Command
from nodes.process import EngineProcess
from nodes.process_identity import ProcessIdentity, boot_id, identify, is_alive

FIRST_BACKOFF_S, LAST_BACKOFF_S = 1.0, 15.0
HEALTHY_AFTER_S = 60.0
EARLY_DEATHS_THAT_BLAME_THE_STORE = 3
STOP_GRACE_S = 3.0  # nothing in it needs a goodbye
LOOK_EVERY_S = 1.0
SESSIONS_KEPT = 2

FamilyName = Literal["ray-head", "raylet"]
RayState = Literal["stopped", "running", "waiting"]


class RayUnfitError(Exception):
    """Ray cannot run on this machine as it is. Shown as the reason why the link to it is https."""


log = structlog.get_logger("potluck.ray")


@dataclass(frozen=True, slots=True)
class RayRun:
    """One Ray family: its command, and the files around it."""

    name: FamilyName
    command: Command
    home: Path
    home_files: tuple[tuple[str, str], ...]  # name and text of what must lie in its home
    temp_dir: Path
    store: Path | None  # what GCS remembers; None for a raylet
    proofs: tuple[Path, ...]  # certificate and token: Ray reads them only when it starts, so new ones mean a new start
    lease_file: Path
    log_file: Path

    def mark(self) -> str:
        """Tells a family that was started with other settings, or with proofs that were renewed since."""
        proofs = (proof.read_bytes() for proof in self.proofs if proof.exists())
        return hashlib.sha256(b"\0".join((msgspec.json.encode(self.command), *proofs))).hexdigest()


@dataclass(frozen=True, slots=True)
class RayLease:
    pid: int
    start_mark: str
    boot_id: str
    mark: str

    @property
    def identity(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.start_mark, self.boot_id)


RayPlan = Callable[[], RayRun | None]
"""What should run here now; None for nothing. Raises RayUnfitError, OSError."""


class RayProcess:
    """One task runs `run`; others only look at `state`. The plan is asked every second: a new answer, a new family."""

    def __init__(
        self, plan: RayPlan, clock: Clock, stop_grace_s: float = STOP_GRACE_S, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._plan, self._clock = plan, clock
        self._stop_grace_s, self._look_every_s = stop_grace_s, look_every_s
        self._early_deaths = 0
        self._trouble = ""
        self.state: RayState = "stopped"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, which ends the family. A cancelled task leaves it running, for the next daemon to adopt."""
        while not stop.is_set():
            run = self._wanted()
            if run is None:
                self.state = "stopped"
                await _until(stop, self._look_every_s)
            else:
                await self._one_life(run, stop)
        self.state = "stopped"

    def _wanted(self) -> RayRun | None:
        trouble, run = "", None
        try:
            run = self._plan()
        except (RayUnfitError, OSError) as error:
            trouble = str(error)
        if trouble and trouble != self._trouble:  # said once, not every second
            log.warning("ray_cannot_start", error=trouble)
        self._trouble = trouble
        return run

    async def _one_life(self, run: RayRun, stop: asyncio.Event) -> None:
        """A family from its start, or its adoption, to its end."""
        started_s, replaced = self._clock.monotonic_s(), False
        try:
            process = self._adopt(run) or self._start(run)
        except OSError as error:
            log.warning("ray_cannot_start", ray=run.name, error=str(error))
        else:
            self.state = "running"
            replaced = await self._until_gone(run, process, stop)
        if not stop.is_set() and not replaced:
            self.state = "waiting"
            await self._back_off(run, self._clock.monotonic_s() - started_s, stop)

    def _adopt(self, run: RayRun) -> EngineProcess | None:
        """The family of a former daemon, if it is the one that would be started now; another one is ended."""
        lease = read_lease(run.lease_file)
        if lease is None or lease.boot_id != boot_id():
            return None
        if is_alive(lease.identity) and lease.mark == run.mark():
            log.info("ray_adopted", ray=run.name, ray_pid=lease.pid)
            return EngineProcess.adopt(lease.identity)
        end_family(lease.identity)
        return None

    def _start(self, run: RayRun) -> EngineProcess:
        _prepare(run)
        process = EngineProcess.hold(run.command, run.log_file)
        identity = process.identity
        lease = RayLease(identity.pid, identity.start_mark, identity.boot_id, run.mark())
        try:
            write_secret(run.lease_file, msgspec.json.encode(lease).decode())
        except OSError:
            process.discard()
            raise
        process.release()
        log.info("ray_started", ray=run.name, ray_pid=identity.pid)
        return process

    async def _until_gone(self, run: RayRun, process: EngineProcess, stop: asyncio.Event) -> bool:
        """Until the family has ended, of itself or because it must. True when it did for another to take its place."""
        gone, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        replaced = asyncio.create_task(self._until_another_is_wanted(run))
        try:
            await asyncio.wait([gone, stopped, replaced], return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                process.signal(signal.SIGTERM)
                await asyncio.wait([gone], timeout=self._stop_grace_s)
                process.signal(signal.SIGKILL)
            await gone
        finally:
            for task in (gone, stopped, replaced):
                task.cancel()
        end_family(process.identity)
        run.lease_file.unlink(missing_ok=True)
        return replaced.done() and not replaced.cancelled()

    async def _until_another_is_wanted(self, run: RayRun) -> None:
        """None is another one too. A plan that fails for now is no reason to end what runs."""
        before = run.mark()
        while True:
            await asyncio.sleep(self._look_every_s)
            now = self._wanted()
            if not self._trouble and (now is None or now.mark() != before):
                return

    async def _back_off(self, run: RayRun, lived_s: float, stop: asyncio.Event) -> None:
        self._early_deaths = 0 if lived_s >= HEALTHY_AFTER_S else self._early_deaths + 1
        if run.store is not None and self._early_deaths >= EARLY_DEATHS_THAT_BLAME_THE_STORE:
            log.warning("ray_store_dropped", ray=run.name, store=str(run.store))
            shutil.rmtree(run.store, ignore_errors=True)  # it holds nothing that the bridge does not make again
        wait_s = next_wait_s(self._early_deaths)
        log.warning("ray_died", ray=run.name, lived_s=round(lived_s, 1), restart_in_s=wait_s)
        await _until(stop, wait_s)


def _prepare(run: RayRun) -> None:
    for directory in (run.home, run.temp_dir, run.lease_file.parent, *((run.store,) if run.store else ())):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in run.home_files:
        (run.home / name).write_text(text)
    # Left behind by a head that was killed; with it the next head may believe that it already runs.
    (run.temp_dir / "ray_current_cluster").unlink(missing_ok=True)
    sessions = sorted(path for path in run.temp_dir.glob("session_*") if not path.is_symlink())
    for old in sessions[:-SESSIONS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


async def _until(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


def next_wait_s(early_deaths: int) -> float:
    """Seconds until the next start: doubles with each death soon after a start."""
    return min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** max(0, early_deaths - 1))


def lease_file(paths: StatePaths, name: FamilyName) -> Path:
    """Not among the engines' leases: a raylet is no engine."""
    return paths.run / f"{name}.lease"


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


def reap(file: Path) -> bool:
    """End the family that a lease names, without any daemon. True when there was one."""
    lease = read_lease(file)
    if lease is None or lease.boot_id != boot_id():
        return False
    alive = is_alive(lease.identity)
    end_family(lease.identity)
    file.unlink(missing_ok=True)
    return alive
