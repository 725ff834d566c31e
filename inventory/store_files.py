"""The store's hands: locks, atomic writes, and bringing a file's bytes in while hashing them.

A blob must never change after it was hashed, so it never shares an inode with a file that its owner may edit: a file
comes in as a copy-on-write clone where the file system can (APFS, Btrfs, XFS), else as a copy. A hard link would be
cheaper, and would let an edit of the original silently change the blob.
"""

import ctypes
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inventory.progress import Progress

_CHUNK_BYTES = 1 << 20
_FICLONE = 0x40049409  # linux/fs.h: share all of another file's extents


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold `lock` against every other process and thread. The kernel frees it however the holder dies."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_hold(lock: Path) -> int | None:
    """A descriptor that holds `lock` until it is closed, or None while somebody else does."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old content or the new, never a part, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def clone(source: Path, destination: Path) -> bool:
    """A copy that shares disk blocks until one side changes. False, and no file, where that is not possible."""
    if sys.platform == "darwin":
        return _clone_apfs(source, destination)
    with source.open("rb") as original, destination.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:  # another file system, or one that cannot share blocks
            destination.unlink()
            return False
        return True


def _clone_apfs(source: Path, destination: Path) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.clonefile(os.fsencode(source), os.fsencode(destination), 0) == 0)


def copy_hashed(source: Path, destination: Path, progress: Progress) -> str:
    """Copy, and return the sha256 of the bytes that were written: what the source becomes later does not matter."""
    digest, done = hashlib.sha256(), 0
    total = source.stat().st_size
    with source.open("rb") as original, destination.open("xb") as copy:
        while chunk := original.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
            done += len(chunk)
            progress(done, total)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def hash_file(path: Path, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    total = path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return digest.hexdigest()
