"""A proxy under test: how to start it, where it answers, which process tree to charge, how to end it."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.one_machine import BenchError
from bench.relay.machine import Usage, pinned, usage_of_tree

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class TargetFailedError(BenchError):
    """A proxy or mock that did not start, or died. The bench's entry prints it and exits 1."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"{name} {what}; the end of its log:\n{tail_of(log)}")
        self.name, self.what, self.log = name, what, log


def tail_of(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(it has none)"


@dataclass(frozen=True, slots=True)
class Launch:
    """How one target is started. `command` is None for the mock engine itself, which runs already."""

    name: str
    port: int
    command: tuple[str, ...] | None
    ready_path: str = "/health"
    bearer_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Target:
    """A started Launch. As a context manager it ends what it began, whatever happens in between."""

    def __init__(self, launch: Launch, scratch: Path, core: int | None) -> None:
        self.launch = launch
        self.log = scratch / f"{launch.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        if launch.command is not None:
            self._process = start_process(launch.command, self.log, core, launch.environment)

    @property
    def name(self) -> str:
        return self.launch.name

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def usage(self) -> Usage | None:
        """None for a target that has no process of its own."""
        if self._process is None:
            return None
        if self._process.poll() is not None:
            raise TargetFailedError(self.name, f"exited with status {self._process.returncode}", self.log)
        return usage_of_tree(self._process.pid)

    def wait_ready(self) -> None:
        """A model list with the bench's model, then readiness: a router may listen before it knows its engines."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._answers(self.launch.ready_path) and self._answers("/v1/models", holding=b'"bench"')):
            self.usage()  # raises if it has exited
            if time.monotonic() > deadline:
                raise TargetFailedError(self.name, f"was not ready within {START_TIMEOUT_S:.0f} s", self.log)
            time.sleep(0.1)

    def _answers(self, path: str, holding: bytes = b"") -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.launch.port, timeout=2)
        try:
            connection.request("GET", path, headers=self._headers())
            response = connection.getresponse()
            return response.status == 200 and holding in response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        bearer = self.launch.bearer_file
        return {} if bearer is None else {"authorization": f"Bearer {bearer.read_text().strip()}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            end_process(self._process)


def start_process(
    command: Sequence[str], log: Path, core: int | None, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """In a process group of its own, so that its workers can be ended with it."""
    with log.open("wb") as output:
        return subprocess.Popen(
            pinned(command, core),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
            env={**os.environ, **environment},
        )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, a grace period, then SIGKILL for the whole group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):  # nobody of the group is left, as it should be
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
