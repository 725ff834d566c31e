"""A potluck installation of its own for a test: a state directory, the real command, and what runs because of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import httpx2
import psutil

Found = TypeVar("Found")
POTLUCK = Path(sys.executable).parent / "potluck"


@dataclass(frozen=True)
class Machine:
    state_dir: Path
    up_within: tuple[str, ...] = ()  # words before `potluck up`, whose services then run inside something

    def potluck(
        self, *arguments: str, expect: int | None = 0, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the command as a user would, from a directory that has nothing to do with the project."""
        within = self.up_within if arguments[:1] == ("up",) else ()
        done = subprocess.run(
            [*within, POTLUCK, *arguments],
            env=self.environment,
            cwd=self.state_dir.parent,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, (
                f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
            )
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "POTLUCK_STATE_DIR": str(self.state_dir)}

    def up(self, *arguments: str) -> "Running":
        done = self.potluck("up", "--detach", "--json", "--port", "0", *arguments)
        (line,) = done.stdout.splitlines()
        fields = json.loads(line)
        return Running(fields["endpoint"], fields["api_key"])

    def down(self) -> None:
        self.potluck("down")

    def status(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.potluck("status", "--json").stdout)
        return document

    def lease_pids(self) -> dict[str, int]:
        """Process of each engine by its lease on disk, which is what a restarted daemon reads."""
        leases = (json.loads(path.read_text()) for path in (self.state_dir / "leases").glob("*.json"))
        return {lease["engine_id"]: lease["pid"] for lease in leases}

    def engine_pid(self) -> int:
        (pid,) = self.lease_pids().values()
        return pid

    def processes(self) -> list[psutil.Process]:
        """Every live process of this state directory, by its environment or its arguments."""
        mark = str(self.state_dir)
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline())
                if process.pid != os.getpid() and (mark in words or process.environ().get("POTLUCK_STATE_DIR") == mark):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]

    def services(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "cli.main" in process.cmdline()]

    def logs(self) -> str:
        """The end of each log, for a failing test's message."""
        files = sorted((self.state_dir / "logs").glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def engine_lease(machine: Machine) -> dict[str, Any]:
    """The lease of a machine's only engine: its port and where its secret lies, among others."""
    (lease_file,) = (machine.state_dir / "leases").glob("*.json")
    lease: dict[str, Any] = json.loads(lease_file.read_text())
    return lease


def busy_slots(machine: Machine) -> list[object]:
    """Ids of the slots in use: the engine's own word, asked with its own secret."""
    lease = engine_lease(machine)
    secret = Path(lease["secret_file"]).read_text().strip()
    response = httpx2.get(f"http://127.0.0.1:{lease['port']}/slots", headers={"authorization": f"Bearer {secret}"})
    slots: list[dict[str, object]] = response.json()
    assert slots
    return [slot["id"] for slot in slots if slot["is_processing"]]


@dataclass(frozen=True)
class Running:
    endpoint: str
    api_key: str

    @property
    def root(self) -> str:
        return self.endpoint.removesuffix("/v1")


def eventually(look: Callable[[], Found | None], deadline_s: float, what: str) -> Found:
    """Poll until `look` gives something true. The deadline is generous: it ends a failure, it times nothing."""
    end = monotonic() + deadline_s
    while monotonic() < end:
        if found := look():
            return found
        sleep(0.05)
    raise AssertionError(f"not within {deadline_s} s: {what}")
