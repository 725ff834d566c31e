"""Bytes on their way into the store: staged in a directory of their own, hashed, checked, and gone if it fails."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inventory.catalog import ArtifactFile, FileRole
from inventory.disk_space import require_room
from inventory.progress import Progress
from inventory.store_files import clone, copy_hashed, exclusive, hash_file, sync_file, try_hold


class HashMismatchError(Exception):
    """A file that is not the one that was announced. Handled by the command or node that fetched it."""

    def __init__(self, file: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{file} has sha256 {actual}, where {expected} was announced; it was not taken in. Fetch it again: if this"
            " repeats, the source has been changed or something between it and here changes files"
        )
        self.file, self.expected, self.actual = file, expected, actual


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that should enter the store as `name`.

    A disposable one lies on the store's own disk, is held by nobody else, and is moved instead of copied.
    """

    path: Path
    name: str
    role: FileRole = "weights"
    sha256: str | None = None  # what it must be, where that is known
    disposable: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    path: Path
    file: ArtifactFile


@contextmanager
def stage(root: Path, files: Sequence[Incoming], free: int, progress: Progress) -> Iterator[tuple[Staged, ...]]:
    """Bring all files in and hash them. Raises HashMismatchError, DiskFullError, OSError; leaves nothing behind."""
    with exclusive(root / ".lock"):  # or a sweep could take the directory for a leftover before it is held
        directory = root / "incoming" / uuid.uuid4().hex
        directory.mkdir(mode=0o700)
        held = try_hold(directory / ".lock")
    assert held is not None, "nobody else knows this directory"
    try:
        yield _stage_all(directory, files, free, progress)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def sweep_incoming(root: Path) -> None:
    """Delete what imports that died left behind. Call it under the store's lock."""
    for directory in (root / "incoming").iterdir():
        held = try_hold(directory / ".lock")
        if held is not None:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(held)


def sweep_downloads(downloads: Path, before_s: float) -> int:
    """Delete partial downloads that nobody has gone on with since `before_s`, a wall time. Returns the freed bytes."""
    freed = 0
    for directory in downloads.iterdir() if downloads.exists() else ():
        if not directory.is_dir():
            continue
        held = try_hold(downloads / f".{directory.name}.lock")
        if held is None:  # it is being brought in
            continue
        facts = [path.lstat() for path in (directory, *directory.rglob("*"))]
        if max(fact.st_mtime for fact in facts) < before_s:
            freed += sum(fact.st_size for fact in facts[1:])
            shutil.rmtree(directory, ignore_errors=True)
        os.close(held)
    return freed


def _stage_all(directory: Path, files: Sequence[Incoming], free: int, progress: Progress) -> tuple[Staged, ...]:
    sizes = [file.path.stat().st_size for file in files]
    total, done = sum(sizes), 0
    to_copy = sum(size for size, file in zip(sizes, files, strict=True) if not file.disposable)
    staged: list[Staged] = []
    for number, (file, size) in enumerate(zip(files, sizes, strict=True)):
        path = file.path if file.disposable else directory / f"{number:05d}"
        start = done
        actual = _bring_in(file, path, (to_copy, free), lambda part, _, start=start: progress(start + part, total))
        if file.sha256 is not None and actual != file.sha256:
            raise HashMismatchError(file.name, file.sha256, actual)
        staged.append(Staged(path, ArtifactFile(file.name, path.stat().st_size, actual, file.role)))
        done += size
        to_copy -= 0 if file.disposable else size
    return tuple(staged)


def _bring_in(file: Incoming, path: Path, room: tuple[int, int], progress: Progress) -> str:
    """Returns the sha256 of the bytes at `path`. A disposable file stays where it is until the store takes it."""
    if file.disposable or clone(file.path, path):  # neither writes a byte, so neither needs room
        sync_file(path)
        return hash_file(path, progress)
    to_copy, free = room
    require_room(path.parent, to_copy, free)
    return copy_hashed(file.path, path, progress)
