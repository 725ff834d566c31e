"""Each engine kind's own Python environment: built by uv from a lock that ships with potluck, found, removed.

An environment is built aside and renamed into place, so that one that exists is complete. It is used by its path
alone, which is why the renaming does not hurt it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import msgspec

from nodes.engine_builds import KINDS, BuildName, EngineBuild, build_named
from nodes.snapshot import EngineKind, InstalledEngine

MARKER = "potluck-engine.json"
MARKER_SCHEMA = 1

# uv does not read pip's settings; an operator who made them means this install too.
_PIP_SETTINGS = {"PIP_FIND_LINKS": "UV_FIND_LINKS", "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}

Progress = Callable[[str], None]
"""Called with each step, in words for people."""


class UnknownEngineKindError(Exception):
    """Not an engine kind that this version can install. The command prints it and exits 1."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} cannot be installed; this version installs {', '.join(KINDS)}")
        self.text = text


class EngineInstallError(Exception):
    """The environment could not be built; nothing was changed. The command prints it and exits 1."""

    def __init__(self, kind: EngineKind, step: str, output: str) -> None:
        super().__init__(f"{kind} was not installed: {step} failed\n{output}".rstrip())
        self.kind, self.step, self.output = kind, step, output


@dataclass(frozen=True, slots=True)
class EngineEnvironment(InstalledEngine):
    """An engine environment on this machine; its marker file says the same."""

    python: str
    lock_sha256: str
    installed_s: float
    schema: int = MARKER_SCHEMA
    build: BuildName = "any"
    size_bytes: int | None = None

    @property
    def suits(self) -> str:
        """The hardware it was built for, in words for people."""
        build = build_named(self.kind, self.build)
        return build.suits if build is not None else self.build


def engine_kind(text: str) -> EngineKind:
    """The kind a person typed. Raises UnknownEngineKindError."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise UnknownEngineKindError(text)


def python_of(engines_dir: Path, kind: EngineKind) -> Path:
    return engines_dir / kind / "bin" / "python"


def installed(engines_dir: Path) -> tuple[EngineEnvironment, ...]:
    """Complete environments whose python still runs here."""
    found = (_environment(engines_dir, kind) for kind in KINDS)
    return tuple(environment for environment in found if environment is not None)


def install(build: EngineBuild, engines_dir: Path, progress: Progress = lambda step: None) -> EngineEnvironment:
    """Make the environment unless the one that is there has the same lock. Asks the package index.

    Raises EngineInstallError, OSError.
    """
    kind, lock = build.kind, _lock_of(build)
    engines_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(engines_dir / f".{kind}.lock"):
        present = _environment(engines_dir, kind)
        if present is not None and present.lock_sha256 == _sha256(lock):
            return present
        for leftover in engines_dir.glob(f".{kind}-*"):
            shutil.rmtree(leftover)
        aside = engines_dir / f".{kind}-{os.getpid()}"
        try:
            _build(build, aside, lock, progress)
            return _put_in_place(build, aside, engines_dir, _sha256(lock))
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def remove(kind: EngineKind, engines_dir: Path) -> None:
    """Delete the environment, if there is one. Engines that run keep what they have loaded."""
    engines_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(engines_dir / f".{kind}.lock"):
        (engines_dir / kind / MARKER).unlink(missing_ok=True)  # first: without it there is no environment
        shutil.rmtree(engines_dir / kind, ignore_errors=True)


def _build(build: EngineBuild, target: Path, lock: str, progress: Progress) -> None:
    """Byte code is left to the first start: compiling all of a large engine takes longer than installing it."""
    import uv  # only a machine that runs engines has it

    binary = uv.find_uv_bin()
    progress("creating the environment")
    _run(build, "uv venv", [binary, "venv", "--no-project", "--python", _interpreter(build), str(target)])
    requirements = target / "requirements.txt"
    requirements.write_text(lock)
    progress("downloading and installing")
    _run(
        build,
        "uv pip install",
        [
            *(binary, "pip", "install", "--python", str(target / "bin" / "python")),
            # A lock is complete; asking again would miss what its overrides left out.
            *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(requirements)),
        ],
    )
    progress("checking that it loads")


def _interpreter(build: EngineBuild) -> str:
    """The one that runs potluck, unless the lock holds for another version only."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.executable if build.python in (None, ours) else str(build.python)


def _put_in_place(build: EngineBuild, aside: Path, engines_dir: Path, lock_sha256: str) -> EngineEnvironment:
    """Rename, load the engine from where it will be used, and only then write the marker that makes it count."""
    kind = build.kind
    target = engines_dir / kind
    former = engines_dir / f".{kind}-former-{os.getpid()}"
    if target.exists():
        target.rename(former)
    aside.rename(target)
    python = python_of(engines_dir, kind)
    try:
        version = _loaded_version(build, python)
    except EngineInstallError:
        target.rename(aside)
        if former.exists():
            former.rename(target)
        raise
    environment = EngineEnvironment(
        kind=kind,
        version=version,
        python=str(python),
        lock_sha256=lock_sha256,
        installed_s=time.time(),
        build=build.name,
        size_bytes=sum(path.lstat().st_size for path in target.rglob("*")),
    )
    partial = target / f".{MARKER}"
    partial.write_bytes(msgspec.json.encode(environment))
    partial.replace(target / MARKER)
    shutil.rmtree(former, ignore_errors=True)
    return environment


def _loaded_version(build: EngineBuild, python: Path) -> str:
    code = f"import importlib.metadata, {build.module}; print(importlib.metadata.version({build.distribution!r}))"
    return _run(build, f"import {build.module}", [str(python), "-I", "-c", code]).strip().splitlines()[-1]


def _environment(engines_dir: Path, kind: EngineKind) -> EngineEnvironment | None:
    try:
        marker = msgspec.json.decode((engines_dir / kind / MARKER).read_bytes(), type=EngineEnvironment)
    except (OSError, msgspec.MsgspecError):
        return None
    python = python_of(engines_dir, kind)
    if marker.kind != kind or not os.access(python, os.X_OK):  # its base python may have been uninstalled
        return None
    return replace(marker, python=str(python))  # the directory may have been moved since the marker was written


def lock_sha256(build: EngineBuild) -> str:
    """Of the lock that this potluck ships for the build."""
    return _sha256(_lock_of(build))


def _lock_of(build: EngineBuild) -> str:
    return resources.files("nodes.engines").joinpath("locks", f"{build.lock}.txt").read_text()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One installation at a time; a second one waits, and then finds the work done."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _run(build: EngineBuild, step: str, argv: list[str]) -> str:
    environment = {**os.environ, "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    environment.pop("VIRTUAL_ENV", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without byte code a large engine takes minutes to start
    for pip_name, uv_name in _PIP_SETTINGS.items():
        if pip_name in os.environ:
            environment.setdefault(uv_name, os.environ[pip_name])
    if build.torch_backend is not None and "UV_FIND_LINKS" not in environment:  # else the operator has it lying there
        environment.setdefault("UV_TORCH_BACKEND", build.torch_backend)
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        raise EngineInstallError(build.kind, step, str(error)) from error
    if done.returncode != 0:
        raise EngineInstallError(build.kind, step, "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:]))
    return done.stdout
