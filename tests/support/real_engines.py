"""Real engines for tests: installed as the product installs them, in POTLUCK_ENGINES_DIR where that is set."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from inventory.catalog import ArtifactId, ModelName, ModelRef
from inventory.clock import SystemClock
from inventory.hardware import Hardware
from inventory.paths import StatePaths
from inventory.probe import survey
from inventory.probe_host import HostProbe
from inventory.probe_nvidia import NvidiaProbe
from inventory.secret_files import read_secret
from nodes.engine_body import LaunchPlan, Workshop
from nodes.engine_builds import NoBuildError, build_for
from nodes.engine_envs import EngineEnvironment, install
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.nodes import port_of
from support.packaged_model import smollm2_path

CHIEF = Authority(epoch=1, config_revision=1)
SMOLLM2 = EngineSpec(
    EngineId("smollm2-1"),
    "llamacpp",
    ModelRef(ModelName("smollm2"), "packaged", ArtifactId("b1" * 32), None, None),
    context_tokens=2048,
    slots=2,
    options=(("threads", "2"),),
)


@dataclass(frozen=True)
class Served:
    """An engine that is ready, and where its log lies."""

    engine: EngineSnapshot
    logs: Path


def engines_directory(directories: pytest.TempPathFactory) -> Path:
    shared = os.environ.get("POTLUCK_ENGINES_DIR")
    return Path(shared) if shared else directories.mktemp("engines")


def this_machine() -> Hardware:
    return survey((HostProbe(Path.cwd()), NvidiaProbe()), own_pids=frozenset())


def installed_engine(kind: EngineKind, engines_dir: Path) -> EngineEnvironment:
    """The environment of this kind; a machine that has no build of it skips, and says why."""
    try:
        build = build_for(kind, this_machine())
    except NoBuildError as error:
        pytest.skip(str(error))
    return install(build, engines_dir)


@dataclass(frozen=True)
class PackagedModel:
    """Launches every engine with the packaged SmolLM2."""

    environment: EngineEnvironment

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        return LaunchPlan(str(smollm2_path()), self.environment.python, self.environment.version, accelerated=False)


@asynccontextmanager
async def llamacpp_supervisor(root: Path, environment: EngineEnvironment) -> AsyncIterator[Supervisor]:
    """One that knows no other engine; ended with the block."""
    paths = StatePaths.at(root).ensure()
    workshop = Workshop(paths, SystemClock(), {"llamacpp": LlamaCppAdapter()}, PackagedModel(environment))
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            yield supervisor
    finally:
        reap(paths.leases, grace_s=1.0)


def client_of(engine: EngineSnapshot) -> httpx2.AsyncClient:
    """Of an engine itself, with its secret."""
    assert engine.endpoint is not None
    assert engine.endpoint.secret_file is not None
    headers = {"authorization": f"Bearer {read_secret(Path(engine.endpoint.secret_file))}"}
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port_of(engine)}", headers=headers, timeout=120)
