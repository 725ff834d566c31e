"""The audit of a gateway under test: a real one, in the gateway's own process."""

import asyncio
from collections.abc import Sequence

from cluster.audit_documents import DocumentDeed, event_of
from cluster.audit_shown import opened_audit, shown_records
from cluster.audit_trail import AuditTrail, open_trail
from cluster.audit_wire import ShownRecord
from cluster.audit_writer import AuditUnavailableError
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from router.knowledge.recorder import unrecorded


class TrailHere:
    """Implements router.knowledge.recorder.Recorder, without a head between."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    @classmethod
    def at(cls, paths: StatePaths) -> "TrailHere":
        return cls(open_trail(paths, "box", 86_400.0, SystemClock()))

    async def keep(self, deeds: Sequence[DocumentDeed]) -> None:
        try:
            await asyncio.gather(*(self._trail.write(event_of(one)) for one in deeds))
        except AuditUnavailableError as error:
            raise unrecorded(error.reason) from error

    def close(self) -> None:
        self._trail.close()


def on_record(paths: StatePaths) -> list[ShownRecord]:
    """All that the audit has, the oldest first."""
    with opened_audit(paths) as reader:
        return list(shown_records(paths, reader, reader.first))
