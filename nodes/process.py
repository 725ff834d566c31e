"""One engine process: start it behind a gate, watch its end, signal its whole group. Also one we did not start."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nodes.engine_log import open_log
from nodes.engines.base import Command
from nodes.process_identity import ProcessIdentity, identify, is_alive
from nodes.sealing.guard import DIRECTORY

# The gate: the shell waits for one line on its stdin, then becomes the engine under the same pid. The lease can so be
# on disk before the engine exists, and a daemon that dies in between leaves a shell that reads end-of-file and ends.
_GATE = 'read -r go && exec "$@" </dev/null'

# Everything else stays out: an operator's tokens and proxies are none of an engine's business.
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    DIRECTORY,  # of sealed mode
)

POLL_S = 0.25


class EngineProcess:
    """A process group led by one engine. `wait` must run until it returns: it is what reaps."""

    def __init__(self, identity: ProcessIdentity, gate: IO[bytes] | None = None) -> None:
        self.identity = identity
        self._gate = gate

    @classmethod
    def hold(cls, command: Command, log: Path) -> "EngineProcess":
        """Start `command` behind the gate, in a session of its own. Raises OSError."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        descriptor = open_log(log)
        try:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "potluck-gate", *command.argv],
                stdin=subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                cwd=command.working_dir,
                env={**environment, **dict(command.environment)},
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        identity = identify(child.pid)
        if identity is None:
            raise ProcessLookupError(f"{command.argv[0]} ended before it began (status {child.wait()})")
        child.returncode = 0  # `wait` reaps, not Popen: an engine that outlives this daemon is no leak to warn about
        return cls(identity, child.stdin)

    @classmethod
    def adopt(cls, identity: ProcessIdentity) -> "EngineProcess":
        """A process that a former daemon started. Its exit status cannot be known."""
        return cls(identity)

    def release(self) -> None:
        """Open the gate."""
        assert self._gate is not None, "only a process that is held can be released"
        with contextlib.suppress(BrokenPipeError), self._gate:  # broken: it died at the gate, and `wait` will tell
            self._gate.write(b"\n")
        self._gate = None

    def discard(self) -> None:
        """End a process that is still held at the gate."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None
            _reap(self.identity.pid, block=True)

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group, if the process that leads it is still the one we know."""
        if is_alive(self.identity):
            _signal_group(self.identity.pid, number)

    async def wait(self) -> int | None:
        """Until the process is gone and its group with it. Returns its exit status, None if it is not our child's."""
        await exit_of(self.identity)
        # Before it is reaped: until then the kernel cannot give its pid, and so its group's number, to anybody else.
        _signal_group(self.identity.pid, signal.SIGKILL)
        return _reap(self.identity.pid, block=False)


async def exit_of(identity: ProcessIdentity) -> None:
    """Returns once the process is gone: told by the kernel where it can, by looking again elsewhere."""
    watch = _open_watch(identity.pid)
    if watch is None:
        while is_alive(identity):  # noqa: ASYNC110  no event to wait for: this system tells nobody
            await asyncio.sleep(POLL_S)
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(watch.descriptor, gone.set)
    try:
        if is_alive(identity):  # else it ended, or its pid was taken, before the watch was set
            await gone.wait()
    finally:
        loop.remove_reader(watch.descriptor)
        watch.close()


@dataclass(frozen=True, slots=True)
class _Watch:
    """A descriptor that becomes readable when a process ends."""

    descriptor: int
    close: Callable[[], None]


if sys.platform == "linux":

    def _open_watch(pid: int) -> _Watch | None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        return _Watch(descriptor, lambda: os.close(descriptor))

elif sys.platform == "darwin":

    def _open_watch(pid: int) -> _Watch | None:
        queue = select.kqueue()
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([event], 0)
        except OSError:
            queue.close()
            return None
        return _Watch(queue.fileno(), queue.close)

else:

    def _open_watch(pid: int) -> _Watch | None:
        return None


def _reap(pid: int, *, block: bool) -> int | None:
    """The exit status of a child of ours; None for a process of another parent."""
    try:
        reaped, status = os.waitpid(pid, 0 if block else os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped else None


def _signal_group(pid: int, number: signal.Signals) -> None:
    # PermissionError: macOS says so of a group in which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
