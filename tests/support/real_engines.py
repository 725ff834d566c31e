"""Real engines for tests: installed as the product installs them, in POTLUCK_ENGINES_DIR where that is set."""

import os
from pathlib import Path

import pytest

from inventory.hardware import Hardware
from inventory.probe import survey
from inventory.probe_host import HostProbe
from inventory.probe_nvidia import NvidiaProbe
from nodes.engine_builds import NoBuildError, build_for
from nodes.engine_envs import EngineEnvironment, install
from nodes.snapshot import EngineKind


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
