"""A page of the audit, as the dashboard shows it. Pure."""

from typing import Literal

import msgspec

from cluster.audit_records import Actor
from cluster.audit_wire import AuditPage, ShownRecord

AuditOutcome = Literal["", "begun", "done", "refused", "failed"]


class AuditRow(msgspec.Struct, frozen=True):
    """`personal`: what names a person, "erased" where that was forgotten."""

    sequence: int
    at: float  # wall time
    node: str
    action: str
    outcome: str
    actor: Actor
    target: str
    request_id: str
    details: dict[str, str | int | bool]
    personal: dict[str, str]


class AuditBook(msgspec.Struct, frozen=True):
    """Newest first. `before`: where the next page begins; null where nothing older was left unread."""

    rows: tuple[AuditRow, ...]
    before: int | None


def audit_book(page: AuditPage) -> AuditBook:
    return AuditBook(tuple(_row(one) for one in page.records), page.before)


def _row(shown: ShownRecord) -> AuditRow:
    record = shown.record
    return AuditRow(
        record.sequence,
        record.at_ms / 1000,
        record.node,
        record.action,
        record.outcome,
        record.actor,
        record.target,
        record.request_id,
        dict(record.details),
        dict(shown.personal),
    )
