"""The audit as the admin API tells it: what may be asked of its records, a page of them, and the verdict. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.audit_records import AuditRecord


@dataclass(frozen=True, slots=True)
class ShownRecord:
    record: AuditRecord
    personal: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """`text` is looked for in who did it, to what and how, whatever the case. `before`: only earlier records."""

    limit: int = 100
    before: int | None = None
    action: str = ""  # or its beginning: "node"
    outcome: str = ""
    text: str = ""

    def wants(self, shown: ShownRecord) -> bool:
        record, text = shown.record, self.text.lower()
        if self.outcome and record.outcome != self.outcome:
            return False
        if self.action and record.action != self.action and not record.action.startswith(f"{self.action}."):
            return False
        return not text or any(text in str(field).lower() for field in _fields(shown))


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Newest first. `before`: where the next page begins; None where nothing older was left unread."""

    records: tuple[ShownRecord, ...]
    before: int | None


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """`sequence` is the first record that is wrong; up to `through` where nobody can tell which of them it is."""

    fault: str
    sequence: int
    through: int
    message: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Whether it is as it was written. `unasked`: why copies elsewhere were not compared."""

    records: int
    first: int
    last: int
    public_key: str
    agreeing: tuple[tuple[str, int], ...]
    finding: AuditFinding | None
    unasked: tuple[str, ...] = ()


def _fields(shown: ShownRecord) -> Iterator[object]:
    record = shown.record
    yield from (record.target, record.action, record.request_id, record.actor.kind, record.actor.name)
    yield from (record.actor.tenant, record.actor.role, record.node)
    yield from (value for _, value in (*record.details, *shown.personal))
