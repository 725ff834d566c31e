"""What checks look at: the state directory, who runs there, what the head says, and where facts about machines are."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec

from cli.wire import load_or_default
from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.config import ClusterConfig
from cluster.config_problems import ConfigError
from cluster.snapshot import ClusterSnapshot
from inventory.clock import Clock, SystemClock
from inventory.paths import StatePaths
from inventory.probe_apple import ask_sysctl
from inventory.probe_nvidia import load_nvml
from nodes.membership import Membership, membership_file, read_membership
from nodes.role_lock import ServiceRole, running

HEAD_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from. `root` is where /proc and /sys are looked for."""

    root: Path = Path("/")
    load_nvml: Callable[[], ModuleType] = load_nvml
    ask_sysctl: Callable[[], str | None] = ask_sysctl
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Situation:
    """`processes` run here. `config` is None where cluster.yaml is not valid, and `config_error` says why.

    `snapshot` is what the head of this machine published; `head_silence` is why a head that runs gave none.
    """

    paths: StatePaths
    sources: Sources
    processes: dict[ServiceRole, int]
    config: ClusterConfig | None
    config_error: ConfigError | None = None
    snapshot: ClusterSnapshot | None = None
    head_silence: str = ""
    membership: Membership | None = None

    @property
    def is_member(self) -> bool:
        """Whether this machine has joined the cluster of another's head, also where it cannot read which."""
        return membership_file(self.paths.identity).exists()


def look_around(paths: StatePaths, sources: Sources | None = None) -> Situation:
    """What all checks share, looked at once: who holds a role is found by trying its lock for an instant."""
    config, config_error = _config(paths)
    processes = _processes(paths)
    snapshot, silence = asyncio.run(_snapshot(paths)) if "head" in processes else (None, "")
    return Situation(
        paths, sources or Sources(), processes, config, config_error, snapshot, silence, _membership(paths)
    )


def _config(paths: StatePaths) -> tuple[ClusterConfig | None, ConfigError | None]:
    try:
        return load_or_default(paths).config, None
    except ConfigError as error:
        return None, error
    except OSError:  # a state directory of somebody else, which its own check tells
        return None, None


def _processes(paths: StatePaths) -> dict[ServiceRole, int]:
    try:
        records = {role: running(paths.run, role) for role in get_args(ServiceRole)}
    except OSError:
        return {}
    return {role: record.pid for role, record in records.items() if record is not None}


def _membership(paths: StatePaths) -> Membership | None:
    """The check of certificates tells of one that cannot be read."""
    try:
        return read_membership(paths.identity)
    except (OSError, msgspec.MsgspecError):
        return None


async def _snapshot(paths: StatePaths) -> tuple[ClusterSnapshot | None, str]:
    try:
        return await AdminClient(paths.head_socket, HEAD_WITHIN_S).snapshot(), ""
    except HeadUnreachableError as error:
        return None, error.reason
    except AdminRefusedError as error:
        return None, "" if error.code == "starting" else error.message
