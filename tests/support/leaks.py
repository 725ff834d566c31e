"""Looks through what a run left behind for what must never be written: keys, tokens, secrets and prompts in clear."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CANARY = "quillonbrax"
"""A word that prompts of tests carry, and that no file of potluck's or an engine's may ever hold."""

FILE_LIMIT_BYTES = 32 << 20  # engines' logs are cut at half of it; what is larger here is a model
SECRET_BYTES = 16  # what is shorter would be found by chance
_MODELS = {"blobs", "incoming", "site-packages"}  # directories of what was not written by a run
_PATTERNS = {  # what each holds for certain, which is found fast, and then the whole of it
    "an API key": (b"pl_", re.compile(rb"pl_[0-9a-z]{1,32}_[A-Za-z0-9_-]{43}")),
    "an engine's secret": (b"ple_", re.compile(rb"(?<![A-Za-z0-9_-])ple_[A-Za-z0-9_-]{43}")),
    "a join token": (b"pj1_", re.compile(rb"pj1_[A-Za-z0-9_-]{80,}")),
    "a private key": (b"PRIVATE KEY-----", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    "a bearer token": (b"eyJ", re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{40,}")),
    "a prompt": (CANARY.encode(), re.compile(CANARY.encode())),
}


@dataclass(frozen=True, order=True)
class Leak:
    """Where, and of which kind; never what."""

    file: Path
    kind: str

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}"


def leaks_below(root: Path) -> list[Leak]:
    """Each directory of a test by itself: the secrets of one are looked for in all its files."""
    return sorted(leak for place in _places(root) for leak in _leaks_of(place))


def _places(root: Path) -> Iterator[Path]:
    for entry in sorted(root.iterdir()) if root.is_dir() else ():
        if entry.name.startswith("popen-gw"):
            yield from _places(entry)
        elif not entry.is_symlink():
            yield entry


def _leaks_of(place: Path) -> Iterator[Leak]:
    files = list(_files(place))
    secrets = {value for path in files if _is_secret(path) and len(value := _read(path).strip()) >= SECRET_BYTES}
    for path in files:
        content = _read(path)
        for kind, (part, whole) in _PATTERNS.items():
            if part in content and whole.search(content) and not _may_hold(path, kind):
                yield Leak(path, kind)
        if not _is_secret(path) and any(secret in content for secret in secrets):
            yield Leak(path, "the content of a secret file")


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for directory, folders, names in os.walk(place):
        folders[:] = sorted(set(folders) - _MODELS)
        for path in (Path(directory, name) for name in sorted(names)):
            if _is_small_file(path):
                yield path


def _is_small_file(path: Path) -> bool:
    try:
        facts = path.lstat()
    except OSError:  # of a test about what cannot be read
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_size <= FILE_LIMIT_BYTES


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _is_secret(path: Path) -> bool:
    return path.name == "owner.key" or path.parent.name == "secrets"


def _may_hold(path: Path, kind: str) -> bool:
    if kind == "a prompt":  # a file that a client gave to be kept
        return path.parent.name == "batch-files"
    if kind == "an API key":
        return path.name == "owner.key"
    return kind in ("a private key", "an engine's secret") and (_is_secret(path) or path.suffix == ".key")
