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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import msgspec
import uv

from nodes.snapshot import EngineKind, InstalledEngine

MARKER = "potluck-engine.json"
MARKER_SCHEMA = 1

_MODULES: Mapping[EngineKind, str] = {"llamacpp": "xllamacpp"}  # what proves that the environment works

# uv does not read pip's settings; an operator who made them means this install too.
_PIP_SETTINGS = {"PIP_FIND_LINKS": "UV_FIND_LINKS", "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}

Progress = Callable[[str], None]
"""Called with each step, in words for people."""


class UnknownEngineKindError(Exception):
    """Not an engine kind that this version can install. The command prints it and exits 1."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} cannot be installed; this version installs {', '.join(sorted(_MODULES))}")
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


def engine_kind(text: str) -> EngineKind:
    """The kind a person typed. Raises UnknownEngineKindError."""
    for kind in _MODULES:
        if kind == text:
            return kind
    raise UnknownEngineKindError(text)


def python_of(engines_dir: Path, kind: EngineKind) -> Path:
    return engines_dir / kind / "bin" / "python"


def installed(engines_dir: Path) -> tuple[EngineEnvironment, ...]:
    """Complete environments whose python still runs here."""
    found = (_environment(engines_dir, kind) for kind in sorted(_MODULES))
    return tuple(environment for environment in found if environment is not None)


def install(kind: EngineKind, engines_dir: Path, progress: Progress = lambda step: None) -> EngineEnvironment:
    """Build the environment unless the one that is there has the same lock. Asks the package index.

    Raises EngineInstallError, UnknownEngineKindError, OSError.
    """
    lock = _lock_of(kind)
    engines_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(engines_dir / f".{kind}.lock"):
        present = _environment(engines_dir, kind)
        if present is not None and present.lock_sha256 == _sha256(lock):
            return present
        for leftover in engines_dir.glob(f".{kind}-*"):
            shutil.rmtree(leftover)
        aside = engines_dir / f".{kind}-{os.getpid()}"
        try:
            _build(kind, aside, lock, progress)
            return _put_in_place(kind, aside, engines_dir, _sha256(lock))
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def remove(kind: EngineKind, engines_dir: Path) -> None:
    """Delete the environment, if there is one. Engines that run keep what they have loaded."""
    engines_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(engines_dir / f".{kind}.lock"):
        (engines_dir / kind / MARKER).unlink(missing_ok=True)  # first: without it there is no environment
        shutil.rmtree(engines_dir / kind, ignore_errors=True)


def _build(kind: EngineKind, target: Path, lock: str, progress: Progress) -> None:
    binary = uv.find_uv_bin()
    progress("creating the environment")
    _run(kind, "uv venv", [binary, "venv", "--no-project", "--python", sys.executable, str(target)])
    requirements = target / "requirements.txt"
    requirements.write_text(lock)
    progress("downloading and installing")
    _run(
        kind,
        "uv pip install",
        [
            *(binary, "pip", "install", "--python", str(target / "bin" / "python")),
            *("--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r", str(requirements)),
        ],
    )
    progress("checking that it loads")


def _put_in_place(kind: EngineKind, aside: Path, engines_dir: Path, lock_sha256: str) -> EngineEnvironment:
    """Rename, load the engine from where it will be used, and only then write the marker that makes it count."""
    target = engines_dir / kind
    former = engines_dir / f".{kind}-former-{os.getpid()}"
    if target.exists():
        target.rename(former)
    aside.rename(target)
    try:
        version = _loaded_version(kind, python_of(engines_dir, kind))
    except EngineInstallError:
        target.rename(aside)
        if former.exists():
            former.rename(target)
        raise
    environment = EngineEnvironment(kind, version, str(python_of(engines_dir, kind)), lock_sha256, time.time())
    partial = target / f".{MARKER}"
    partial.write_bytes(msgspec.json.encode(environment))
    partial.replace(target / MARKER)
    shutil.rmtree(former, ignore_errors=True)
    return environment


def _loaded_version(kind: EngineKind, python: Path) -> str:
    module = _MODULES[kind]
    code = f"import importlib.metadata, {module}; print(importlib.metadata.version({module!r}))"
    return _run(kind, f"import {module}", [str(python), "-I", "-c", code]).strip().splitlines()[-1]


def _environment(engines_dir: Path, kind: EngineKind) -> EngineEnvironment | None:
    try:
        marker = msgspec.json.decode((engines_dir / kind / MARKER).read_bytes(), type=EngineEnvironment)
    except (OSError, msgspec.MsgspecError):
        return None
    python = python_of(engines_dir, kind)
    if marker.kind != kind or not os.access(python, os.X_OK):  # its base python may have been uninstalled
        return None
    return replace(marker, python=str(python))  # the directory may have been moved since the marker was written


def _lock_of(kind: EngineKind) -> str:
    if kind not in _MODULES:
        raise UnknownEngineKindError(kind)
    return resources.files("nodes.engines").joinpath("locks", f"{kind}.txt").read_text()


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


def _run(kind: EngineKind, step: str, argv: list[str]) -> str:
    environment = {**os.environ, "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    environment.pop("VIRTUAL_ENV", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without byte code a large engine takes minutes to start
    for pip_name, uv_name in _PIP_SETTINGS.items():
        if pip_name in os.environ:
            environment.setdefault(uv_name, os.environ[pip_name])
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        raise EngineInstallError(kind, step, str(error)) from error
    if done.returncode != 0:
        raise EngineInstallError(kind, step, "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:]))
    return done.stdout
