"""The supervisor of one machine: keeps node, head and gateway running as processes of their own.

It knows processes and nothing of what they do. Each child holds the read end of a pipe from here as its stdin: when
this process dies, however it dies, the children see the end of file and stop by themselves; engines stay.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from inventory.clock import Clock
from nodes.role_lock import ServiceRole

HEALTHY_AFTER_S = 30.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.2, 10.0
LOG_LIMIT_BYTES = 16 * 1024 * 1024

Farewell = Callable[[], Awaitable[None]]
"""What an orderly stop still asks of a living child. It handles its own errors."""

log = structlog.get_logger("potluck.supervise")


@dataclass(frozen=True, slots=True)
class Child:
    role: ServiceRole
    argv: tuple[str, ...]
    log_file: Path
    stop_grace_s: float


def next_backoff_s(previous_s: float, lived_s: float) -> float:
    """How long to wait before the next start: doubles with each early death, starts over after a healthy life."""
    if lived_s >= HEALTHY_AFTER_S:
        return FIRST_BACKOFF_S
    return min(LAST_BACKOFF_S, max(FIRST_BACKOFF_S, previous_s * 2))


class ChildSupervisor:
    """Owns one child: starts it, starts it again when it dies, stops it when told."""

    def __init__(self, child: Child, clock: Clock, farewell: Farewell | None = None) -> None:
        self._child, self._clock, self._farewell = child, clock, farewell
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        backoff_s = 0.0
        while not self._stopping.is_set():
            started_s = self._clock.monotonic_s()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            backoff_s = next_backoff_s(backoff_s, self._clock.monotonic_s() - started_s)
            log.warning("service_died", role=self._child.role, exit_code=code, restart_in_s=backoff_s)
            await _wait(self._stopping, backoff_s)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the child's grace. Returns when the child is gone."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        if self._farewell is not None:
            await self._farewell()
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._child.stop_grace_s)
        except TimeoutError:
            log.warning("service_killed", role=self._child.role, grace_s=self._child.stop_grace_s)
            process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        _keep_small(self._child.log_file)
        with self._child.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._child.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        log.info("service_started", role=self._child.role, service_pid=self._process.pid)
        return await self._process.wait()


async def supervise(children: Sequence[ChildSupervisor], stop: asyncio.Event) -> None:
    """Run all children until `stop`, then end them one after the other, first to last."""
    async with asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(child.run())
        await stop.wait()
        for child in children:
            await child.stop()


def service_argv(command: str, *arguments: str) -> tuple[str, ...]:
    """The command line of a supervised service, run by this interpreter without its start directory on the path."""
    return (sys.executable, "-P", "-m", "cli.main", command, "--supervised", *arguments)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return


def _keep_small(path: Path) -> None:
    """Start a new log when the last one has grown large; one older log is kept."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(path.suffix + ".1"))
