"""The audit as it is shown: records with what is still readable of their persons, the newest first, and the verdict."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cluster.admin_wire import AuditCopy
from cluster.audit_chain import BadCheckpointError, Checkpoint, public_text
from cluster.audit_key import read_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import NotARecordError, decode
from cluster.audit_store import AuditDamagedError
from cluster.audit_subjects import SubjectKeys
from cluster.audit_verify import Verdict, Voucher, verify
from cluster.audit_wire import AuditFinding, AuditPage, AuditQuestion, AuditVerdict, ShownRecord
from inventory.paths import StatePaths

MOST_READ = 20_000  # records that one question looks through
STEP = 500


@contextmanager
def opened_audit(paths: StatePaths) -> Iterator[AuditReader]:
    """What SQLite cannot read is damage too. Raises AuditDamagedError, NoAuditError."""
    try:
        with closing(AuditReader.open(paths.audit_db)) as reader:
            yield reader
    except (sqlite3.DatabaseError, BadCheckpointError, NotARecordError) as error:
        raise AuditDamagedError(paths.audit_db, str(error)) from error


def shown_records(paths: StatePaths, reader: AuditReader, first: int, last: int | None = None) -> Iterator[ShownRecord]:
    subjects = SubjectKeys.open(paths.audit_subjects_db) if paths.audit_subjects_db.exists() else None
    try:
        for link in reader.links(first, last):
            record = decode(link.body)
            yield ShownRecord(record, subjects.unseal(record) if subjects is not None else ())
    finally:
        if subjects is not None:
            subjects.close()


def audit_page(paths: StatePaths, question: AuditQuestion) -> AuditPage:
    """Raises AuditDamagedError, NoAuditError."""
    found: list[ShownRecord] = []
    with opened_audit(paths) as reader:
        oldest = reader.first
        last = reader.last if question.before is None else min(reader.last, question.before - 1)
        least = max(oldest, last - MOST_READ + 1)
        while last >= least:
            first = max(least, last - STEP + 1)
            for shown in reversed(list(shown_records(paths, reader, first, last))):
                if question.wants(shown):
                    found.append(shown)
                    if len(found) == question.limit:
                        sequence = shown.record.sequence
                        return AuditPage(tuple(found), sequence if sequence > oldest else None)
            last = first - 1
    return AuditPage(tuple(found), last + 1 if last >= oldest else None)


def verdict_of(paths: StatePaths, key: Ed25519PublicKey, copies: Sequence[AuditCopy]) -> Verdict:
    """By the copies that members keep, too. They are asked for before the log is read: a record that comes meanwhile is
    then in the log, and not only in a copy. Raises AuditDamagedError, NoAuditError."""
    vouchers = tuple(Voucher(_checkpoint(text), copy.member) for copy in copies for text in copy.documents)
    with opened_audit(paths) as reader:
        return verify(reader.evidence(vouchers), reader.links(), key)


def own_verdict(paths: StatePaths, copies: Sequence[AuditCopy]) -> AuditVerdict:
    """By this machine's own key. Raises AuditDamagedError, NoAuditError, OSError."""
    key = read_audit_key(paths.audit_key).public_key()
    verdict = verdict_of(paths, key, copies)
    found = verdict.finding
    return AuditVerdict(
        records=verdict.records,
        first=verdict.first,
        last=verdict.last,
        public_key=public_text(key),
        agreeing=verdict.agreeing,
        finding=AuditFinding(found.fault, found.sequence, found.through, found.message) if found else None,
        unasked=tuple(f"{copy.member}: {copy.problem}" for copy in copies if copy.problem),
    )


def _checkpoint(document: str) -> Checkpoint:
    """One that is none becomes one that nobody signed: verification says who keeps it."""
    try:
        return msgspec.json.decode(document, type=Checkpoint)
    except msgspec.MsgspecError:
        return Checkpoint("", "")
