"""The artifacts that this node was told to hold: copied one after the other, each in a thread, with its progress shown.

An order is repeated as long as its artifact is missing. A copy that failed waits longer each time before it is tried
again; an order that names other holders does not have to wait.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

import structlog

from inventory.catalog import ArtifactFormat, ModelName
from inventory.clock import Clock
from inventory.disk_space import DiskFullError
from inventory.model_error import ModelFileError
from inventory.model_files import UnusableModelError
from inventory.secret_files import ExposedSecretError
from inventory.store import ModelStore, NameTakenError
from inventory.store_records import DamagedRecordError, InvalidNameError
from nodes.artifact_copy import NoHolderGaveItError, copy_artifact
from nodes.identity import IdentityFiles
from nodes.membership import Membership, read_membership
from nodes.orders import PullOrder
from nodes.peer import PeerRole
from nodes.snapshot import NodeId, PullSnapshot
from nodes.tls_contexts import ReloadingContext

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 300.0
FORGET_S = 600.0

_ROLES: tuple[PeerRole, ...] = ("node", "controller")

log = structlog.get_logger("potluck.node.pulls")

_FAILURES = (
    NoHolderGaveItError,
    NameTakenError,
    InvalidNameError,
    DiskFullError,
    DamagedRecordError,
    ModelFileError,
    UnusableModelError,
    ExposedSecretError,
    OSError,
)


class _DaemonEndsError(Exception):
    """Raised into a copy when the daemon ends; what arrived is kept."""


@dataclass(slots=True)
class _Pull:
    """One order. The thread that copies writes its progress; the event loop everything else."""

    order: PullOrder
    ordered_s: float  # monotonic: when it was last asked for
    state: Literal["waiting", "copying", "checking", "failed"] = "waiting"
    holder: NodeId | None = None
    done_bytes: int = 0
    total_bytes: int | None = None
    reason: str = ""
    failures: int = 0
    retry_at_s: float = 0.0  # monotonic


def own_context(identity: Path) -> Callable[[], ssl.SSLContext]:
    """As this node, or on the head's own machine, which is no member of its own cluster, as the controller."""
    node, controller = (ReloadingContext(IdentityFiles.at(identity, role)) for role in _ROLES)

    def current() -> ssl.SSLContext:
        try:
            return node.current()
        except FileNotFoundError:
            return controller.current()

    return current


class ModelPulls:
    """Enter it to run; leaving it ends what runs, and keeps what arrived. `identity` is the directory of that name."""

    def __init__(
        self,
        store: ModelStore,
        identity: Path,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._store, self._identity, self._clock = store, identity, clock
        self._context = own_context(identity)
        self._changed = changed
        self._pulls: dict[tuple[ModelName, ArtifactFormat], _Pull] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()  # or two would count on the same room on the disk
        self._ending = threading.Event()

    def order(self, order: PullOrder) -> None:
        """Idempotent. Whoever orders sees in the snapshots, and in the models that are held, what became of it."""
        key = order.name, order.format
        known = self._pulls.get(key)
        if known is not None and not self._is_due(known, order):
            known.ordered_s = self._clock.monotonic_s()
            return
        failures = known.failures if known is not None and known.order == order else 0
        pull = self._pulls[key] = _Pull(order, self._clock.monotonic_s(), failures=failures)
        task = asyncio.create_task(self._run(pull), name=f"pull {order.name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, pull))
        self._changed()

    def snapshots(self) -> tuple[PullSnapshot, ...]:
        """All that are under way, and those that failed and are still asked for."""
        forgotten_s = self._clock.monotonic_s() - FORGET_S
        for key, pull in tuple(self._pulls.items()):
            if pull.state == "failed" and pull.ordered_s < forgotten_s:
                del self._pulls[key]
        return tuple(
            PullSnapshot(
                name=pull.order.name,
                artifact_id=pull.order.artifact_id,
                format=pull.order.format,
                state=pull.state,
                holder=pull.holder,
                done_bytes=pull.done_bytes,
                total_bytes=pull.total_bytes,
                reason=pull.reason,
            )
            for pull in self._pulls.values()
        )

    async def __aenter__(self) -> "ModelPulls":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_due(self, known: _Pull, order: PullOrder) -> bool:
        return known.state == "failed" and (known.order != order or self._clock.monotonic_s() >= known.retry_at_s)

    async def _run(self, pull: _Pull) -> None:
        key = pull.order.name, pull.order.format
        async with self._one_at_a_time:
            watcher = _Watcher(pull, self._ending)
            order = as_known_here(pull.order, read_membership(self._identity))
            try:
                await asyncio.to_thread(copy_artifact, self._store, order, self._context, watcher)
            except _DaemonEndsError:
                return
            except FileNotFoundError as error:
                hint = "only a machine that has joined a cluster has a certificate to show to others"
                self._failed(pull, f"{error.filename} is missing; {hint}")
            except _FAILURES as error:
                self._failed(pull, str(error))
            else:
                del self._pulls[key]
        self._changed()

    def _ended(self, pull: _Pull, task: "asyncio.Task[None]") -> None:
        """What nobody foresaw is a failure like others: it is shown, and tried again."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("pull_crashed", model=pull.order.name, exc_info=error)
            self._failed(pull, f"{type(error).__name__}: {error}")
            self._changed()

    def _failed(self, pull: _Pull, reason: str) -> None:
        pull.failures += 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(pull.failures - 1, 10))
        pull.state, pull.reason = "failed", reason
        pull.retry_at_s = self._clock.monotonic_s() + wait_s
        log.warning("pull_failed", model=pull.order.name, reason=reason, failures=pull.failures, wait_s=wait_s)


def as_known_here(order: PullOrder, membership: Membership | None) -> PullOrder:
    """With the head where this machine reaches it."""
    if membership is None:
        return order
    host, port = membership.head_host, membership.join_port
    holders = (replace(holder, host=host, port=port) if holder.is_head else holder for holder in order.holders)
    return replace(order, holders=tuple(holders))


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Called by the thread that copies."""

    pull: _Pull
    ending: threading.Event

    def asking(self, node: NodeId) -> None:
        self.pull.state, self.pull.holder = "copying", node
        self._stay()

    def moved(self, done_bytes: int, total_bytes: int) -> None:
        self.pull.done_bytes, self.pull.total_bytes = done_bytes, total_bytes
        self._stay()

    def checked(self, done_bytes: int, total_bytes: int | None) -> None:
        self.pull.state = "checking"
        self.pull.done_bytes, self.pull.total_bytes = done_bytes, total_bytes
        self._stay()

    def _stay(self) -> None:
        if self.ending.is_set():
            raise _DaemonEndsError
