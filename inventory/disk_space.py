"""Room on disk, checked before the first byte is written."""

import shutil
from pathlib import Path

GIB = 1 << 30


class DiskFullError(Exception):
    """Too little room for what was asked. Handled by the command or node that asked: nothing has been written."""

    def __init__(self, path: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{path} has {free_bytes / GIB:.1f} GiB free, but {needed_bytes / GIB:.1f} GiB are needed"
            " (the files and a margin); free some space, or move the state directory with --state-dir"
        )
        self.path, self.needed_bytes, self.free_bytes = path, needed_bytes, free_bytes


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def with_margin(size_bytes: int) -> int:
    """A full disk hurts everybody on the machine: 5 % of the size, and never less than 1 GiB, stays free."""
    return size_bytes + max(size_bytes // 20, GIB)


def require_room(path: Path, size_bytes: int, free: int) -> None:
    """Raises DiskFullError unless `free` bytes hold `size_bytes` and the margin. Nothing to write needs no room."""
    if size_bytes > 0 and free < with_margin(size_bytes):
        raise DiskFullError(path, with_margin(size_bytes), free)
