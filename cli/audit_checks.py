"""What `potluck audit` reads: the database beside the head, a file, and the copies that members keep."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.admin_wire import AuditCopy
from cluster.audit_chain import BadCheckpointError, Checkpoint, public_key, public_text
from cluster.audit_export import exported, read_export
from cluster.audit_key import read_audit_key
from cluster.audit_reading import AuditReader
from cluster.audit_records import AuditRecord, NotARecordError, decode
from cluster.audit_store import AuditDamagedError
from cluster.audit_subjects import SubjectKeys
from cluster.audit_verify import Verdict, Voucher, verify
from inventory.paths import StatePaths

FOLLOW_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class ShownRecord:
    record: AuditRecord
    personal: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A verdict, with whose key it was found, and what is known of copies elsewhere; None where there can be none."""

    source: str
    public_key: str
    trusted: bool
    verdict: Verdict
    copies: tuple[AuditCopy, ...] | None = None
    not_asked: str = ""


def last_records(paths: StatePaths, count: int) -> list[ShownRecord]:
    with _opened(paths) as reader:
        return list(_shown(paths, reader, max(0, reader.last - count) + 1))


def follow_records(paths: StatePaths, seen: Sequence[ShownRecord]) -> Iterator[ShownRecord]:
    """Those after the ones that were seen, as they come, until interrupted."""
    last = seen[-1].record.sequence if seen else 0
    with _opened(paths) as reader:
        while True:
            for shown in _shown(paths, reader, last + 1):
                last = shown.record.sequence
                yield shown
            time.sleep(FOLLOW_EVERY_S)
            reader.again()


def verify_log(paths: StatePaths, key_text: str | None) -> Checked:
    """By the key that was named, else this machine's.

    The copies first: a record that comes meanwhile is then in the log, and not only in a copy.
    """
    copies, not_asked = asyncio.run(_copies(paths))
    vouchers = tuple(Voucher(_checkpoint(text), copy.member) for copy in copies for text in copy.documents)
    with _opened(paths) as reader:
        key = _key(key_text or _own_key(paths) or "")
        verdict = verify(reader.evidence(vouchers), reader.links(), key)
    return Checked(str(paths.audit_db), public_text(key), True, verdict, copies, not_asked)


def verify_export(paths: StatePaths, file: Path, key_text: str | None) -> Checked:
    """By the key that was named, else this machine's, else the one that the export itself names."""
    with file.open("rb") as lines:
        export = read_export(lines)
        trusted = key_text or _own_key(paths)
        key = _key(trusted or export.head.public_key)
        verdict = verify(export.evidence, export.links, key)
    return Checked(str(file), public_text(key), trusted is not None, verdict)


def write_export(paths: StatePaths, from_ms: int, to_ms: int, out: Path | None) -> int:
    """How many records were written."""
    count = 0
    with _opened(paths) as reader:
        lines = exported(reader, from_ms, to_ms, _own_key(paths) or "")
        with out.open("xb") if out is not None else nullcontext(sys.stdout.buffer) as file:
            for line in lines:
                file.write(line)
                count += line.startswith(b'{"sequence"')
    return count


def moment_ms(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@contextmanager
def _opened(paths: StatePaths) -> Iterator[AuditReader]:
    """What SQLite cannot read is damage too. Raises AuditDamagedError, NoAuditError."""
    try:
        with closing(AuditReader.open(paths.audit_db)) as reader:
            yield reader
    except (sqlite3.DatabaseError, BadCheckpointError, NotARecordError) as error:
        raise AuditDamagedError(paths.audit_db, str(error)) from error


def _shown(paths: StatePaths, reader: AuditReader, first: int) -> Iterator[ShownRecord]:
    subjects = SubjectKeys.open(paths.audit_subjects_db) if paths.audit_subjects_db.exists() else None
    try:
        for link in reader.links(first):
            record = decode(link.body)
            yield ShownRecord(record, subjects.unseal(record) if subjects is not None else ())
    finally:
        if subjects is not None:
            subjects.close()


async def _copies(paths: StatePaths) -> tuple[tuple[AuditCopy, ...], str]:
    """With the reason why nobody was asked."""
    try:
        return await AdminClient(paths.head_socket).audit_copies(), ""
    except (HeadUnreachableError, AdminRefusedError) as error:
        return (), str(error)


def _checkpoint(document: str) -> Checkpoint:
    """One that is none becomes one that nobody signed: verification says who keeps it."""
    try:
        return msgspec.json.decode(document, type=Checkpoint)
    except msgspec.MsgspecError:
        return Checkpoint("", "")


def _key(text: str) -> Ed25519PublicKey:
    try:
        return public_key(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no public key: {error}", param_hint="--key") from None


def _own_key(paths: StatePaths) -> str | None:
    return public_text(read_audit_key(paths.audit_key).public_key()) if paths.audit_key.exists() else None
