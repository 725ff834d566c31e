"""One process per role and state directory: an flock that dies with its holder, and a record of who holds it."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ServiceRole = Literal["up", "head", "node", "gateway", "ray-bridge"]


@dataclass(frozen=True, slots=True)
class RoleRecord:
    role: ServiceRole
    pid: int
    endpoint: str | None = None  # the base_url of OpenAI clients (it ends in /v1), for a role that serves them


class AlreadyRunningError(Exception):
    """Another process holds the role. Handled by the command that wanted to start it."""

    def __init__(self, record: RoleRecord | None, role: ServiceRole) -> None:
        who = f"process {record.pid}" if record else "another process"
        super().__init__(f"potluck {role} already runs here ({who}); see `potluck status`, stop it with `potluck down`")
        self.record = record


class RoleLock:
    """Held from `acquire` until the process ends or `release`. The kernel frees it however the process dies."""

    def __init__(self, run_dir: Path, role: ServiceRole) -> None:
        self._path = run_dir / f"{role}.lock"
        self._role = role
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the role or raise AlreadyRunningError. Tries for a moment: `running` holds the lock while it looks."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(10):
            if _try_lock(descriptor):
                self._descriptor = descriptor
                self.publish()
                return
            time.sleep(0.02)
        os.close(descriptor)
        raise AlreadyRunningError(_parse(self._path), self._role)

    def publish(self, endpoint: str | None = None) -> None:
        assert self._descriptor is not None, "publish needs the lock"
        text = json.dumps(asdict(RoleRecord(self._role, os.getpid(), endpoint))).encode()
        os.pwrite(self._descriptor, text.ljust(256), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def running(run_dir: Path, role: ServiceRole) -> RoleRecord | None:
    """Who holds the role, or None when nobody does. A record left by a dead process is never returned."""
    path = run_dir / f"{role}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(descriptor) else _parse(path)
    finally:
        os.close(descriptor)


def last_holder(run_dir: Path, role: ServiceRole) -> RoleRecord | None:
    """What the role's latest holder published, whether it lives or not. None before the first one."""
    return _parse(run_dir / f"{role}.lock")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(path: Path) -> RoleRecord | None:
    try:
        return RoleRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
