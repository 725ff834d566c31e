"""What condition an engine's environment is in: told by its files, and by loading the engine. Changes nothing."""

import os
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from nodes.engine_builds import KINDS, build_named
from nodes.engine_envs import MARKER, EngineEnvironment, lock_sha256, python_of
from nodes.snapshot import EngineKind

Condition = Literal["absent", "unfinished", "no python", "outdated", "whole"]
"""unfinished: it has no marker that can be read. no python: the one it was built on is gone. outdated: this potluck
ships another lock."""


class DoesNotLoadError(Exception):
    """An engine that its own python cannot load. Handled by the doctor."""

    def __init__(self, kind: EngineKind, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def condition_of(engines_dir: Path, kind: EngineKind) -> tuple[Condition, EngineEnvironment | None]:
    """With what its marker says, where that can be read."""
    if not (engines_dir / kind).exists():
        return "absent", None
    try:
        marker = msgspec.json.decode((engines_dir / kind / MARKER).read_bytes(), type=EngineEnvironment)
    except (OSError, msgspec.MsgspecError):
        return "unfinished", None
    build = build_named(marker.kind, marker.build)
    if marker.kind != kind or build is None:
        return "unfinished", None
    if not os.access(python_of(engines_dir, kind), os.X_OK):
        return "no python", marker
    return ("whole" if marker.lock_sha256 == lock_sha256(build) else "outdated"), marker


def whole_kinds(engines_dir: Path) -> tuple[EngineKind, ...]:
    """Those that can be tried."""
    return tuple(kind for kind in KINDS if condition_of(engines_dir, kind)[0] in ("whole", "outdated"))


def try_load(engines_dir: Path, environment: EngineEnvironment, within_s: float) -> None:
    """Import the engine with its own python. Raises DoesNotLoadError, TimeoutError."""
    kind = environment.kind
    build = build_named(kind, environment.build)
    assert build is not None, "condition_of has looked"
    command = [str(python_of(engines_dir, kind)), "-I", "-B", "-c", f"import {build.module}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    except OSError as error:
        raise DoesNotLoadError(kind, error.strerror or str(error)) from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise DoesNotLoadError(kind, lines[-1])
