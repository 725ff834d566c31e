"""The state directory of a healthy head that does not run, and the doctor's look at it before and after a fault."""

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from cli.checks.catalogue import CHECKS
from cli.checks.examine import examine
from cli.checks.finding import Finding, Verdict
from cli.checks.situation import Sources, look_around
from cluster.keys import ensure_pepper
from cluster.registry import Registry
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import ModelStore
from nodes.engine_builds import build_named
from nodes.engine_envs import MARKER, EngineEnvironment, lock_sha256, python_of
from nodes.join_wire import HEAD_NAME
from nodes.snapshot import EngineKind
from support.gguf_files import write_gguf
from support.tls import TestAuthority

CONFIG = """
version: 1
cluster: {{name: home, listen: 127.0.0.1}}
join: {{port: {join}}}
gateway: {{port: {gateway}}}
nodes:
  box: {{}}
models:
  smol: {{source: "file:/somewhere/smol.gguf"}}
"""


@dataclass
class DoctorState:
    paths: StatePaths
    gateway_port: int
    join_port: int
    sources: Sources = field(default_factory=Sources)

    def findings(self) -> tuple[Finding, ...]:
        """Of every check."""
        return examine(look_around(self.paths, self.sources), CHECKS)

    def ahead(self, seconds: float) -> None:
        """The doctor's clock goes before this machine's."""
        self.sources = replace(self.sources, clock=_Shifted(seconds))


def healthy_state(root: Path) -> DoctorState:
    """Keys, certificates, a registry, a model and an engine: real files, made by what makes them in a cluster."""
    paths = StatePaths.at(root).ensure()
    gateway, join = free_ports(2)
    paths.config_file.write_text(CONFIG.format(gateway=gateway, join=join))
    paths.node_name.write_text("box")
    ensure_pepper(paths.pepper)
    Registry.open(paths.registry_db, SystemClock()).close()
    authority = TestAuthority(paths.root)
    authority.identity("controller", HEAD_NAME, paths.identity)
    ModelStore(paths.models, SystemClock()).import_path(write_gguf(root.with_name("smol.gguf")), "smol")
    install_engine(paths.engines, "llamacpp", "any")
    return DoctorState(paths, gateway, join)


def install_engine(engines: Path, kind: EngineKind, build_name: str) -> Path:
    """An environment with a python of its own, and a module that the engine's name imports. Returns the module."""
    build = build_named(kind, build_name)
    assert build is not None, f"there is no {build_name} build of {kind}"
    place = engines / kind
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (site,) = place.glob("lib/python3*/site-packages")
    module = site / f"{build.module}.py"
    module.write_text('"""Stands where the engine would be."""\n')
    environment = EngineEnvironment(
        kind=build.kind,
        version="1",
        python=str(python_of(engines, build.kind)),
        lock_sha256=lock_sha256(build),
        installed_s=time.time(),
        build=build.name,
    )
    (place / MARKER).write_bytes(msgspec.json.encode(environment))
    return module


def verdicts(findings: tuple[Finding, ...], but: frozenset[str] = frozenset()) -> dict[str, Verdict]:
    """The worst of each check that has something to say against what it found."""
    worst: dict[str, Verdict] = {}
    for finding in findings:
        if finding.verdict != "ok" and finding.name not in but and worst.get(finding.name) != "fail":
            worst[finding.name] = finding.verdict
    return worst


def in_the_table(fault: str, finding: Finding) -> None:
    """A line of the table that `make doctor-faults` prints."""
    print(f"RESULT {finding.verdict:<4}  {fault:<42}  {finding.topic:<7}  {finding.name:<12}  -> {finding.fix}")


def free_ports(count: int) -> list[int]:
    """Below those that systems give to whoever asks for any: no other test comes to listen there meanwhile."""
    found: list[int] = []
    for port in random.sample(range(15_000, 30_000), 1_000):
        with contextlib.suppress(OSError), closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no port is free here")


def listening(port: int = 0, backlog: int = 8) -> "closing[socket.socket]":
    """Another program's socket."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    return closing(listener)


@dataclass(frozen=True)
class _Shifted:
    by_s: float
    monotonic_s: Callable[[], float] = time.monotonic

    def wall_s(self) -> float:
        return time.time() + self.by_s
