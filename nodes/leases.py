"""Leases: what engines run here, on disk, so that a daemon that was restarted, or nobody at all, can find them."""

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from inventory.secret_files import write_secret
from nodes.orders import EngineSpec
from nodes.process_identity import ProcessIdentity, is_alive
from nodes.snapshot import EngineId

SCHEMA = 1
_ENGINE_ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,118}[a-z0-9])?")

log = structlog.get_logger("potluck.leases")


@dataclass(frozen=True, slots=True)
class Lease:
    """One running engine. Written before it runs and removed after it is gone. The spec names artifact and model."""

    engine_id: EngineId
    pid: int
    start_mark: str
    boot_id: str
    generation: int
    port: int
    secret_file: str | None
    config_revision: int
    engine_version: str | None
    spec: EngineSpec
    started_s: float  # wall time
    schema: int = SCHEMA
    log_offset: int | None = None  # where its output begins in the log, behind that of earlier starts

    @property
    def identity(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.start_mark, self.boot_id)


@dataclass(frozen=True, slots=True)
class _Holder:
    """The part of a lease that every version has: enough to stop the process."""

    engine_id: EngineId
    pid: int
    start_mark: str
    boot_id: str
    secret_file: str | None = None


@dataclass(frozen=True, slots=True)
class Reaped:
    """An engine that `reap` ended, and how."""

    engine_id: EngineId
    pid: int
    how: str  # "stopped", "killed" or "could not be killed"


@dataclass(frozen=True, slots=True)
class Leased:
    """Whom a lease names. `alive` is None for a lease that cannot be read, which has its file's name and no pid."""

    engine_id: EngineId
    pid: int
    alive: bool | None


def valid_engine_id(text: str) -> bool:
    """Engine ids become file names: lower-case letters, digits, dots and dashes."""
    return _ENGINE_ID.fullmatch(text) is not None and ".." not in text


def write_lease(directory: Path, lease: Lease) -> None:
    """Atomic, mode 0600. Raises OSError: then the engine must not start."""
    write_secret(_path(directory, lease.engine_id), msgspec.json.encode(lease).decode())


def remove_lease(directory: Path, engine_id: EngineId) -> None:
    _path(directory, engine_id).unlink(missing_ok=True)


def read_leases(directory: Path) -> tuple[Lease, ...]:
    """Every lease this version understands. Those of another version stay on disk, for `reap`."""
    found = []
    for path in sorted(directory.glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Lease))
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("lease_unreadable", path=str(path), error=str(error))
    return tuple(found)


def read_lease(directory: Path, engine_id: EngineId) -> Lease | None:
    """Of one engine; None where none can be read."""
    try:
        return msgspec.json.decode(_path(directory, engine_id).read_bytes(), type=Lease)
    except (OSError, msgspec.MsgspecError):
        return None


def leased(directory: Path) -> tuple[Leased, ...]:
    """Everybody who is named there, living or not. Changes and logs nothing."""
    found = []
    for path in sorted(directory.glob("*.json")):
        try:
            holder = msgspec.json.decode(path.read_bytes(), type=_Holder)
        except (OSError, msgspec.MsgspecError):
            found.append(Leased(EngineId(path.stem), 0, None))
        else:
            found.append(Leased(holder.engine_id, holder.pid, is_alive(_identity(holder))))
    return tuple(found)


def reap(directory: Path, grace_s: float) -> tuple[Reaped, ...]:
    """End every engine that a lease names: SIGTERM, then SIGKILL after `grace_s`. Returns those that ran.

    Needs no daemon, and none may run beside it.
    """
    holders = _holders(directory)
    alive = [holder for holder in holders if is_alive(_identity(holder))]
    _signal_all(alive, signal.SIGTERM)
    stubborn = _still_alive_after(alive, grace_s)
    _signal_all(stubborn, signal.SIGKILL)
    immortal = _still_alive_after(stubborn, 5.0)
    for holder in holders:
        if holder not in immortal:
            _forget(directory, holder)
    # What their leaders leave behind in a group. Only those that ended just now: an old number may be another's.
    _signal_all([holder for holder in alive if holder not in immortal], signal.SIGKILL)
    return tuple(Reaped(holder.engine_id, holder.pid, _how(holder, stubborn, immortal)) for holder in alive)


def _how(holder: _Holder, stubborn: list[_Holder], immortal: list[_Holder]) -> str:
    if holder in immortal:
        return "could not be killed"
    return "killed" if holder in stubborn else "stopped"


def _holders(directory: Path) -> list[_Holder]:
    holders = []
    for path in sorted(directory.glob("*.json")):
        try:
            holders.append(msgspec.json.decode(path.read_bytes(), type=_Holder))
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("lease_unreadable", path=str(path), error=str(error))
    return holders


def _identity(holder: _Holder) -> ProcessIdentity:
    return ProcessIdentity(holder.pid, holder.start_mark, holder.boot_id)


def _signal_all(holders: list[_Holder], number: signal.Signals) -> None:
    for holder in holders:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(holder.pid, number)


def _still_alive_after(holders: list[_Holder], grace_s: float) -> list[_Holder]:
    end = time.monotonic() + grace_s
    while (left := [holder for holder in holders if is_alive(_identity(holder))]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _forget(directory: Path, holder: _Holder) -> None:
    if holder.secret_file is not None:
        Path(holder.secret_file).unlink(missing_ok=True)
    remove_lease(directory, holder.engine_id)


def _path(directory: Path, engine_id: EngineId) -> Path:
    if not valid_engine_id(engine_id):
        raise ValueError(f"{engine_id!r} cannot name an engine: lower-case letters, digits, dots and dashes only")
    return directory / f"{engine_id}.json"
