"""A potluck installation of its own for a test: a state directory, the real command, and what runs because of it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import httpx2
import psutil

from inventory.paths import StatePaths

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

    def cluster(self) -> dict[str, Any]:
        """What `status --json` says of the cluster."""
        return eventually(lambda: cluster_at(self.state_dir), 30, "the head answers")

    def engines(self) -> list[dict[str, Any]]:
        """As the cluster knows them."""
        snapshots = (node["snapshot"] for node in self.cluster()["nodes"])
        return [engine for snapshot in snapshots if snapshot for engine in snapshot["engines"]]

    def lease_pids(self) -> dict[str, int]:
        """Process of each engine by its lease on disk, which is what a restarted daemon reads."""
        return leased_pids(self.state_dir)

    def engine_pid(self) -> int:
        (pid,) = self.lease_pids().values()
        return pid

    def processes(self) -> list[psutil.Process]:
        """Every live process of this state directory, by its environment or its arguments."""
        mark = str(self.state_dir)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = mark in " ".join(process.cmdline()) or process.environ().get("POTLUCK_STATE_DIR") == mark
                if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def services(self, role: str = "cli.main") -> list[psutil.Process]:
        """All of them, or those of one role."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                if {"cli.main", role} <= set(process.cmdline()):
                    found.append(process)
        return found

    def logs(self) -> str:
        """The end of each log, for a failing test's message."""
        files = sorted((self.state_dir / "logs").glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def cluster_at(state_dir: Path) -> dict[str, Any] | None:
    """What the head of this state directory says of the cluster, without the price of a command; None for no answer."""
    with suppress(OSError, HTTPException), closing(_ToHead(StatePaths.at(state_dir).head_socket)) as connection:
        connection.request("GET", "/api/v1/snapshot")
        answer = connection.getresponse()
        document: dict[str, Any] = json.loads(answer.read())
        return document if answer.status == 200 else None
    return None


class _ToHead(HTTPConnection):
    """httpx2 leaves a Unix socket open that it could not connect."""

    def __init__(self, path: Path) -> None:
        super().__init__("head", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def leased_pids(state_dir: Path) -> dict[str, int]:
    found = {}
    for path in (state_dir / "leases").glob("*.json"):
        with suppress(FileNotFoundError):  # given up meanwhile
            lease = json.loads(path.read_text())
            if "engine_id" in lease:  # Ray's processes have leases too
                found[lease["engine_id"]] = lease["pid"]
    return found


def engine_client(machine: Machine) -> httpx2.Client:
    """Of a machine's only engine, with the engine's own secret."""
    (lease_file,) = (machine.state_dir / "leases").glob("*.json")
    lease = json.loads(lease_file.read_text())
    headers = {"authorization": f"Bearer {Path(lease['secret_file']).read_text().strip()}"}
    return httpx2.Client(base_url=f"http://127.0.0.1:{lease['port']}", headers=headers, timeout=60, trust_env=False)


def busy_slots(machine: Machine) -> list[object]:
    """Ids of the slots in use: the engine's own word."""
    with engine_client(machine) as client:
        slots: list[dict[str, object]] = client.get("/slots").json()
    assert slots
    return [slot["id"] for slot in slots if slot["is_processing"]]


def tokens_read(machine: Machine) -> int:
    return _counted(machine, "llamacpp:prompt_tokens_total")


def tokens_made(machine: Machine) -> int:
    return _counted(machine, "llamacpp:tokens_predicted_total")


def _counted(machine: Machine, name: str) -> int:
    with engine_client(machine) as client:
        text = client.get("/metrics").text
    return int(float(dict(line.split() for line in text.splitlines() if not line.startswith("#"))[name]))


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
