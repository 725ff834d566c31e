"""The audit's one writer: a thread that takes what everybody tells it and commits it in groups, one fsync for many.

Where the disk is full the waiters are told so, and a later one finds it tried again: nothing needs to be started anew.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.audit_chain import BadCheckpointError, Checkpoint
from cluster.audit_records import AuditEvent, AuditRecord
from cluster.audit_store import Append, AuditLimits, AuditStore, Writing
from cluster.audit_subjects import SubjectKeys
from inventory.clock import Clock

_Written = Future[AuditRecord] | asyncio.Future[AuditRecord]

log = structlog.get_logger("potluck.cluster.audit")


class AuditUnavailableError(Exception):
    """A record that could not be written. Whoever would have acted does not: the admin API answers 503."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the audit cannot be written, so nothing is done that needs a record: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AuditTimes:
    """How patient callers are, how much goes into one commit, how often a checkpoint is made that stays."""

    answer_s: float = 5.0
    again_s: float = 1.0  # after a failure, before the disk is tried again
    keep_every_s: float = 300.0
    keep_every_records: int = 1000
    look_every_s: float = 60.0
    group: int = 1000
    most_waiting: int = 20_000


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """Where a log lies, and with what it is written."""

    database: Path
    subjects: Path
    key: Ed25519PrivateKey
    node: str
    limits: AuditLimits = field(default_factory=AuditLimits)
    times: AuditTimes = field(default_factory=AuditTimes)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody, in a thread or in a loop, who goes on once the record is on the disk."""

    append: Append
    written: _Written


_Outcome = tuple[_Written, AuditRecord | AuditUnavailableError]


class AuditWriter:
    """`record` and `write` from any thread; `close` at the end writes what is left."""

    def __init__(self, place: AuditPlace, clock: Clock) -> None:
        self._place, self._clock = place, clock
        self._waiting: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._hand = _Hand(place, clock)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def tip(self) -> Checkpoint | None:
        """The newest checkpoint; None until something was written."""
        return self._hand.tip

    @property
    def trouble(self) -> str:
        """Why nothing can be written; "" where it can."""
        return self._hand.trouble

    def record(self, event: AuditEvent) -> AuditRecord:
        """Return when it is on the disk. Raises AuditUnavailableError."""
        written: Future[AuditRecord] = Future()
        self._submit(event, written)
        try:
            return written.result(self._place.times.answer_s)
        except TimeoutError:
            raise AuditUnavailableError("the disk does not answer") from None

    async def write(self, event: AuditEvent) -> AuditRecord:
        """`record` for coroutines."""
        written: asyncio.Future[AuditRecord] = asyncio.get_running_loop().create_future()
        self._submit(event, written)
        try:
            async with asyncio.timeout(self._place.times.answer_s):
                return await written
        except TimeoutError:
            raise AuditUnavailableError("the disk does not answer") from None

    def close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()

    def _submit(self, event: AuditEvent, written: _Written) -> None:
        waiting = _Waiting(Append(event, int(self._clock.wall_s() * 1000)), written)
        with self._news:
            if self._closing:
                raise AuditUnavailableError("potluck is stopping")
            if len(self._waiting) >= self._place.times.most_waiting:
                raise AuditUnavailableError("the disk is slower than what it should record")
            self._waiting.append(waiting)
            self._news.notify()

    def _run(self) -> None:
        while group := self._next():
            self._hand.commit(group)
            self._hand.keep_house()
        self._hand.close()

    def _next(self) -> list[_Waiting]:
        """What waits. Empty once there is nothing left and nothing more will come."""
        while True:
            with self._news:
                if not self._waiting and not self._closing:
                    self._news.wait(self._place.times.look_every_s)
                count = min(len(self._waiting), self._place.times.group)
                group = [self._waiting.popleft() for _ in range(count)]
                if group or self._closing:
                    return group
            self._hand.keep_house()


class _Hand:
    """The writer's thread at its database: opened at need, let go of after any trouble, tried again a second later."""

    def __init__(self, place: AuditPlace, clock: Clock) -> None:
        self._place, self._clock = place, clock
        self._store: AuditStore | None = None
        self._subjects: SubjectKeys | None = None
        self.trouble = ""
        self._again_s = self._kept_s = self._looked_s = clock.monotonic_s()
        self.tip: Checkpoint | None = None

    def commit(self, group: Sequence[_Waiting]) -> None:
        try:
            records = self._opened().append([waiting.append for waiting in group], self._place.limits)
        except Exception as error:  # noqa: BLE001 - whatever it is: nobody may wait for a thread that has ended
            self._fail(error)
            _tell([(waiting, AuditUnavailableError(self.trouble)) for waiting in group])
        else:
            self._works()
            _tell(list(zip(group, records, strict=True)))

    def keep_house(self) -> None:
        """Checkpoints that stay, and segments that have expired."""
        store, times, now_s = self._store, self._place.times, self._clock.monotonic_s()
        if store is None:
            return
        due = store.unkept >= times.keep_every_records or (store.unkept and now_s >= self._kept_s + times.keep_every_s)
        try:
            if due:
                self._kept_s = now_s
                store.keep(self._now_ms())
            if now_s >= self._looked_s + times.look_every_s:
                self._looked_s = now_s
                if expired := store.expire(self._now_ms(), self._place.limits):
                    log.info("audit_expired", records=expired)
            self.tip = store.tip
        except BadCheckpointError as error:  # nothing goes on the word of one, and nothing else depends on it
            log.warning("audit_not_expired", reason=str(error))
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def close(self) -> None:
        if self._store is not None and self._store.unkept:
            try:
                self._store.keep(self._now_ms())
            except (sqlite3.Error, OSError) as error:
                log.warning("audit_checkpoint_failed", reason=str(error))
        self._let_go()

    def _opened(self) -> AuditStore:
        if self._store is None:
            if self.trouble and self._clock.monotonic_s() < self._again_s:
                raise AuditUnavailableError(self.trouble)
            place = self._place
            self._subjects = SubjectKeys.open(place.subjects)
            writing = Writing(place.key, self._subjects, place.node)
            self._store = AuditStore.open(place.database, writing, self._now_ms())
        return self._store

    def _works(self) -> None:
        if self.trouble:
            log.info("audit_works_again")
            self.trouble = ""

    def _fail(self, error: Exception) -> None:
        """After a commit that failed only the disk knows what is there: look again before the next one."""
        self._let_go()
        if isinstance(error, AuditUnavailableError):
            return
        if str(error) != self.trouble:
            log.error("audit_unavailable", reason=str(error), file=str(self._place.database))
        self.trouble = str(error)
        self._again_s = self._clock.monotonic_s() + self._place.times.again_s

    def _let_go(self) -> None:
        for database in (self._store, self._subjects):
            if database is not None:
                database.close()
        self._store = self._subjects = None

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)


def _tell(outcomes: Sequence[tuple[_Waiting, AuditRecord | AuditUnavailableError]]) -> None:
    """Each loop is woken once for all that it waits for: a wake-up costs more than a record."""
    loops: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for waiting, outcome in outcomes:
        if isinstance(waiting.written, Future):
            _settle([(waiting.written, outcome)])
        else:
            loops.setdefault(waiting.written.get_loop(), []).append((waiting.written, outcome))
    for loop, settled in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for written, outcome in outcomes:
        if written.done():  # its caller has gone
            continue
        if isinstance(outcome, AuditUnavailableError):
            written.set_exception(outcome)
        else:
            written.set_result(outcome)
