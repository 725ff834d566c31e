"""How the head's parts put things on record: before they act, and again with what came of it."""

import asyncio
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import structlog

from cluster.audit_chain import Checkpoint
from cluster.audit_key import ensure_audit_key
from cluster.audit_records import AuditEvent, Detail
from cluster.audit_store import AuditLimits
from cluster.audit_tally import Refusal, RefusalTally, event_of
from cluster.audit_writer import AuditPlace, AuditUnavailableError, AuditWriter
from inventory.clock import Clock
from inventory.paths import StatePaths

FLUSH_EVERY_S = 1.0

log = structlog.get_logger("potluck.cluster.audit")


def open_trail(paths: StatePaths, node: str, retention_s: float, clock: Clock) -> "AuditTrail":
    """The audit of this head. A disk that is full is no reason not to start. Raises ExposedSecretError, OSError."""
    place = AuditPlace(
        paths.audit_db,
        paths.audit_subjects_db,
        ensure_audit_key(paths.audit_key),
        node,
        AuditLimits(retention_s=retention_s),
    )
    return AuditTrail(AuditWriter(place, clock), clock)


class AuditTrail:
    """Used by the head's own thread. What needs a record raises AuditUnavailableError where there can be none."""

    def __init__(self, writer: AuditWriter, clock: Clock) -> None:
        self._writer, self._clock = writer, clock
        self._tally = RefusalTally()

    @property
    def tip(self) -> Checkpoint | None:
        return self._writer.tip

    @property
    def trouble(self) -> str:
        """Why nothing can be put on record; "" where it can."""
        return self._writer.trouble

    @contextmanager
    def performing(self, event: AuditEvent) -> Generator[list[Detail], None, None]:
        """The block acts, between a record that it begins and one of its outcome. It may add details to the latter."""
        event = replace(event, request_id=event.request_id or new_request_id())
        self._writer.record(replace(event, outcome="begun"))
        details: list[Detail] = []
        try:
            yield details
        except Exception as error:
            failure = ("error", type(error).__name__)
            self._writer.record(replace(event, outcome="failed", details=(*event.details, failure)))
            raise
        self._writer.record(replace(event, outcome="done", details=(*event.details, *details)))

    async def write(self, event: AuditEvent) -> None:
        await self._writer.write(event)

    def tell(self, event: AuditEvent) -> None:
        """For what has happened already and must not fail for want of a record: one that is lost is logged."""
        try:
            self._writer.record(event)
        except AuditUnavailableError as error:
            log.warning("audit_record_lost", action=event.action, outcome=event.outcome, reason=error.reason)

    def refused(self, refusal: Refusal) -> None:
        """The first of its kind is on record when this returns, the rest within a minute as a number."""
        told = self._tally.note(refusal, self._clock.monotonic_s())
        if told is not None:
            self.tell(event_of(told, 1))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._flush(self._clock.monotonic_s())

    def close(self) -> None:
        """What was counted is written, then the writer ends."""
        self._flush(float("inf"))
        self._writer.close()

    def _flush(self, now_s: float) -> None:
        for refusal, count in self._tally.due(now_s):
            self.tell(event_of(refusal, count))


def new_request_id() -> str:
    return f"op_{secrets.token_hex(8)}"
