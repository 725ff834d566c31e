"""The disks: room, what kind of file system holds the state, and whether it can be written."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.checks.finding import Result, fail, ok, warn, word
from cli.checks.situation import Situation
from inventory.disk_space import GIB
from inventory.sizes import format_bytes

MIN_FREE_BYTES = 2 * GIB
FULL_BYTES = 64 << 20  # less than what a day of logs, decisions and records takes
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "webdav", "9p", "glusterfs"}
    | {"fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.glusterfs"}
)
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
ELSEWHERE = "move the state directory: potluck down; mv it to a disk of this machine; set POTLUCK_STATE_DIR"


@dataclass(frozen=True, slots=True)
class Mount:
    place: str
    kind: str


@dataclass(frozen=True, slots=True)
class Room:
    """What statvfs tells of the disk below `path`. `files` is None where the file system does not count them."""

    path: Path
    free_bytes: int
    files_left: int | None
    read_only: bool


def check_file_system(situation: Situation) -> Iterator[Result]:
    mounts = [Mount(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    yield from file_system(situation.paths.root, mounts)


def file_system(root: Path, mounts: Sequence[Mount]) -> Iterator[Result]:
    """By the mount that is nearest above the directory."""
    real = root.resolve()
    above = [mount for mount in mounts if real.is_relative_to(mount.place)]
    mount = max(above, key=lambda one: len(one.place), default=None)
    if mount is None:
        return
    if mount.kind in NETWORK:
        told = f"{root} is on a network file system ({mount.kind} at {mount.place}), where SQLite's locks do not hold"
        yield warn(told, ELSEWHERE)
    elif mount.kind in IN_MEMORY:
        told = (
            f"{root} is in memory ({mount.kind} at {mount.place}): keys, models and the audit are gone after a reboot"
        )
        yield warn(told, ELSEWHERE)
    else:
        yield ok(f"{mount.kind} at {mount.place}")


def check_room(situation: Situation) -> Iterator[Result]:
    """Of each disk that state, models or engines lie on."""
    seen: set[int] = set()
    for path in (situation.paths.models, situation.paths.root, situation.paths.engines):
        below = existing(path)
        if below.stat().st_dev not in seen:
            seen.add(below.stat().st_dev)
            yield room(_room_of(below))


def room(found: Room) -> Result:
    told = f"{format_bytes(found.free_bytes)} free in {found.path}"
    if found.read_only:
        fix = f"see `dmesg` for why, then: mount -o remount,rw {word(_mount_of(found.path))}"
        return fail(f"{found.path} is mounted read-only", fix)
    if found.files_left == 0:
        return fail(f"{found.path} has no room for one more file: its inodes are used up", "delete files that are many")
    if found.free_bytes < FULL_BYTES:
        fix = "free some space now: nothing can be put on record, and models cannot be fetched (potluck models rm NAME)"
        return fail(f"the disk is full: {told}", fix)
    if found.free_bytes < MIN_FREE_BYTES:
        return warn(told, "free some space, or move the state directory with POTLUCK_STATE_DIR")
    return ok(told)


def existing(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def _mount_of(path: Path) -> Path:
    return next((one for one in (path, *path.parents) if one.is_mount()), path)


def _room_of(path: Path) -> Room:
    facts = os.statvfs(path)
    files_left = facts.f_favail if facts.f_files else None
    return Room(path, facts.f_bavail * facts.f_frsize, files_left, bool(facts.f_flag & os.ST_RDONLY))
