"""Machines for tests: each a network namespace with its own address, its own /tmp, and a cable that can be pulled.

They share the kernel, the clock and the file system; a process belongs to the host whose network namespace it lives
in. Everything is removed by `Lan.close`, whatever a test left running.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import psutil
import pytest

SUBNET = "10.77.0"

# One process holds the namespaces open. Directories below /tmp that a host must still see are bound back into its own.
_HOLD = """
set -e
mount --make-rprivate /
outer=$1; private=$2; shift 2
mount --bind /tmp "$outer"
mount --bind "$private" /tmp
for path in "$@"; do mkdir -p "$path"; mount --bind "$outer/${path#/tmp/}" "$path"; done
umount "$outer"
echo ready
exec sleep infinity
"""


@dataclass
class Host:
    """One machine. `root` is its disk: the same path inside and outside."""

    name: str
    address: str
    root: Path
    namespace: str
    interface: str
    _holder: subprocess.Popen[str] | None = field(default=None, repr=False)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def argv(self, *command: str | Path) -> list[str]:
        """`command` on this host, as a command line to start from outside. The pid stays the command's own."""
        assert self._holder is not None, f"{self.name} has no power"
        entered = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", f"--wd={self.root}", "--"]
        return [*entered, *map(str, command)]

    def run(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        expect: int | None = 0,
        timeout_s: float = 60,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*command),
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            input=stdin or "",
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, f"{command} on {self.name}:\n{done.stdout}\n{done.stderr}"
        return done

    def start(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        output: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """A process that runs until it ends or the host does."""
        process = subprocess.Popen(
            self.argv(*command),
            env=self.environment(env),
            stdin=stdin,
            stdout=output,
            stderr=output if output == subprocess.DEVNULL else subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """This process's environment with the host's own home in it."""
        return {**os.environ, "HOME": str(self.root / "home"), "TMPDIR": "/tmp", **(more or {})}

    def processes(self) -> list[psutil.Process]:
        """Everything alive in this host's namespace, but what holds it open."""
        mark = os.stat(f"/run/netns/{self.namespace}").st_ino  # noqa: PTH116  a name of the kernel's, not a file
        holder = self._holder.pid if self._holder else None
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                inode = os.stat(f"/proc/{process.pid}/ns/net").st_ino  # noqa: PTH116
                if inode == mark and process.pid != holder and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def open_ports(self) -> dict[int, str]:
        """TCP ports that listen beyond loopback, with what listens there."""
        found = {}
        for line in self.run(
            "ss", "--no-header", "--listening", "--tcp", "--numeric", "--processes"
        ).stdout.splitlines():
            address, _, port = line.split()[3].rpartition(":")
            if address.strip("[]").removeprefix("::ffff:") not in ("127.0.0.1", "::1"):
                found[int(port)] = line.split()[-1]
        return found

    def link_down(self) -> None:
        _ip("-n", self.namespace, "link", "set", self.interface, "down")

    def link_up(self) -> None:
        _ip("-n", self.namespace, "link", "set", self.interface, "up")

    def power_off(self) -> None:
        """The cable first, so that no dying process can say goodbye; then everything, without warning."""
        self.link_down()
        self.kill_everything()

    def kill_everything(self) -> None:
        end = monotonic() + 10
        while alive := self.processes():
            assert monotonic() < end, f"{self.name} will not die: {alive}"
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            sleep(0.02)  # a process that was forked meanwhile is met in the next round
        for started in self._started:
            started.wait()
        self._started.clear()

    def boot(self, visible: Sequence[Path]) -> None:
        """Open the namespaces. `visible` are directories of the real /tmp that this host sees too."""
        outer, private = self.root / "outer", self.root / "tmp"
        for directory in (outer, private, self.root / "home"):
            directory.mkdir(parents=True, exist_ok=True)
        entered = ("ip", "netns", "exec", self.namespace, "unshare", "--mount", "sh", "-c", _HOLD, "hold")
        self._holder = subprocess.Popen(
            [*entered, str(outer), str(private), *map(str, visible)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", f"{self.name} did not boot"

    def destroy(self) -> None:
        self.kill_everything()
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            assert self._holder.stdout is not None
            self._holder.stdout.close()
            self._holder = None
        _ip("netns", "delete", self.namespace)


class Lan:
    """One Ethernet segment, 10.77.0.0/24, that no other network touches. Its switch is a namespace as well."""

    def __init__(self, directory: Path) -> None:
        self._mark = secrets.token_hex(2)
        self._directory = directory
        self._switch = f"potluck-{self._mark}-switch"
        self.hosts: dict[str, Host] = {}
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "switch", "up")

    def host(self, name: str, visible: Sequence[Path] = ()) -> Host:
        """A machine on this segment, with power and the next free address, 10.77.0.1 first."""
        number = len(self.hosts) + 1
        namespace, inside, outside = (
            f"potluck-{self._mark}-{name}",
            f"pl{self._mark}i{number}",
            f"pl{self._mark}o{number}",
        )
        host = Host(name, f"{SUBNET}.{number}", self._directory / name, namespace, inside)
        _ip("netns", "add", namespace)
        self.hosts[name] = host
        _ip("link", "add", inside, "netns", namespace, "type", "veth", "peer", "name", outside, "netns", self._switch)
        _ip("-n", self._switch, "link", "set", outside, "master", "switch", "up")
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "address", "add", f"{host.address}/24", "dev", inside)
        host.link_up()
        host.boot(_needed_from_tmp(visible))
        return host

    def close(self) -> None:
        for host in self.hosts.values():
            host.destroy()
        self.hosts.clear()
        _ip("netns", "delete", self._switch)


@contextmanager
def a_lan() -> Iterator[Lan]:
    """A segment for one test. Skips where namespaces cannot be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("hosts are network namespaces: needs Linux and root")
    # Not below /tmp, which each host has its own of; and short, for the sockets of Ray have long names.
    directory = Path(tempfile.mkdtemp(prefix="potluck-", dir="/var/tmp"))
    lan = Lan(directory)
    try:
        yield lan
    finally:
        lan.close()
        shutil.rmtree(directory, ignore_errors=True)


def _needed_from_tmp(more: Sequence[Path]) -> list[Path]:
    """What runs the tests, and `more`, where it happens to lie below /tmp: all else a host sees anyway."""
    places = [Path(sys.prefix), Path(__file__).parents[2], *more]
    if shared := os.environ.get("POTLUCK_ENGINES_DIR"):
        places.append(Path(shared))
    return [place for place in places if place.is_relative_to("/tmp")]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
