"""A cluster of hosts with real Ray for tests: certificates of one CA, one token, a head and as many nodes as wanted."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx2

from cluster.authority import CertificateAuthority, Subject
from cluster.ray_settings import RayPorts, driver_environment
from cluster.ray_setup import bridge_socket, ensure_token, place_of, required_program
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.identity import IdentityFiles, install, new_key
from nodes.peer import PeerRole
from nodes.unix_server import unix_client
from support.hosts import Host, Lan
from support.machine import POTLUCK, eventually

TESTS = Path(__file__).parent.parent


@dataclass
class RayHost:
    """One machine: `family` is the process that supervises its Ray, `daemon` its node daemon."""

    host: Host
    paths: StatePaths
    role: PeerRole
    head_address: str
    family: subprocess.Popen[bytes] | None = None
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.host.name

    def start_family(self) -> None:
        kind = "head" if self.role == "controller" else "node"
        words = [sys.executable, "-m", "support.ray_family", kind, self.name, self.host.address, self.head_address]
        with (self.host.root / "family.log").open("ab") as output:
            self.family = self.host.start(*words, env=self.environment, output=output)

    def start_daemon(self) -> None:
        with (self.host.root / "daemon.log").open("ab") as output:
            self.daemon = self.host.start(POTLUCK, "node", env=self.environment, output=output)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join((str(TESTS.parent), str(TESTS)))
        return {"POTLUCK_STATE_DIR": str(self.paths.root), "PYTHONPATH": path}

    def status(self, *, with_token: bool = True) -> subprocess.CompletedProcess[str]:
        """`ray status -v`, as an operator on this machine runs it."""
        program = required_program()
        place = place_of(self.paths, program, RayPorts(), IdentityFiles.at(self.paths.identity, self.role))
        environment = dict(driver_environment(place))
        if not with_token:
            environment["RAY_AUTH_MODE"] = "disabled"
        address = f"--address={self.head_address}:{RayPorts().gcs}"
        return self.host.run(program, "status", "-v", address, env=environment, expect=None, timeout_s=90)

    def logs(self) -> str:
        files = [*self.host.root.glob("*.log"), *self.paths.logs.glob("*.log")]
        return "\n".join(f"== {self.name} {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)


class RayCluster:
    """The first name is the head's. `close` belongs to the Lan."""

    def __init__(self, lan: Lan, *names: str) -> None:
        self.hosts: dict[str, RayHost] = {}
        head_address, token, authority = "", "", None
        for name in names:
            host = lan.host(name)
            paths = StatePaths.at(host.root / "s").ensure()
            authority = authority or CertificateAuthority.ensure(paths.ca, "home", SystemClock())
            head_address = head_address or host.address
            role: PeerRole = "node" if self.hosts else "controller"
            _certify(authority, IdentityFiles.at(paths.identity, role), Subject(role, name, (host.address,)))
            token = token or ensure_token(paths).read_text()
            ensure_token(paths).write_text(token)
            (paths.root / "node-name").write_text(name)
            self.hosts[name] = RayHost(host, paths, role, head_address)

    @property
    def head(self) -> RayHost:
        return next(iter(self.hosts.values()))

    @property
    def bridge(self) -> Path:
        return bridge_socket(self.head.paths)

    def start(self) -> None:
        for machine in self.hosts.values():
            machine.start_family()
            machine.start_daemon()
        self.wait_for(*self.hosts)

    async def node_names(self) -> set[str]:
        """Whom the bridge sees; nobody while there is no bridge."""
        try:
            async with unix_client(self.bridge) as client:
                nodes = (await client.get("/nodes")).json()
        except httpx2.HTTPError:
            return set()
        known = {name for node in nodes for name, _ in node["resources"] if name.startswith("node:")}
        return {name.removeprefix("node:") for name in known} & set(self.hosts)

    def wait_for(self, *names: str, deadline_s: float = 90) -> None:
        try:
            eventually(lambda: asyncio.run(self.node_names()) == set(names), deadline_s, f"Ray has {names}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def logs(self) -> str:
        return "\n".join(machine.logs() for machine in self.hosts.values())


def _certify(authority: CertificateAuthority, files: IdentityFiles, subject: Subject) -> None:
    key = new_key(subject.name)
    files.key.parent.mkdir(mode=0o700, exist_ok=True)
    install(files, key.key_pem, authority.sign(key.request_pem, subject).pem, authority.certificate_pem)
