"""A part of the audit as JSON lines that anybody can verify with the public key: a head, checkpoints, then records.

It reaches from one checkpoint to another, so a few records more than were asked for may be in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from cluster.audit_chain import Checkpoint, Link
from cluster.audit_reading import AuditReader
from cluster.audit_records import NotARecordError, place_of
from cluster.audit_verify import Evidence, Voucher

FORMAT = 1
Kind = TypeVar("Kind")


class NotAnExportError(Exception):
    """A file that is no export of an audit. Handled by the command: it prints this and exits 3."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no export of an audit: {reason}")


class NothingToExportError(Exception):
    """No record of that time. Handled by the command: it prints this and exits 4."""


@dataclass(frozen=True, slots=True)
class ExportHead:
    potluck_audit: int
    log: str
    first: int
    last: int
    public_key: str


@dataclass(frozen=True, slots=True)
class ExportCheckpoint:
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """`record` is the exact text that was hashed."""

    sequence: int
    previous: str
    digest: str
    record: str


@dataclass(frozen=True, slots=True)
class Export:
    head: ExportHead
    evidence: Evidence
    links: Iterator[Link]


def exported(reader: AuditReader, from_ms: int, to_ms: int, public_key: str) -> Iterator[bytes]:
    """Lines, each with its end. Raises NothingToExportError before the first."""
    found = [link.sequence for link in reader.links() if from_ms <= _at_ms(link) < to_ms]
    if not found:
        raise NothingToExportError("there is no record of that time")
    kept = reader.kept()
    before = max((one.sequence for one in kept if one.sequence < found[0]), default=reader.first - 1)
    last = min((one.sequence for one in kept if one.sequence >= found[-1]), default=reader.last)
    checkpoints = [one.checkpoint for one in kept if before <= one.sequence <= last]
    if last == reader.last:
        checkpoints.append(reader.tip())
    return _lines(ExportHead(FORMAT, reader.log, before + 1, last, public_key), checkpoints, reader)


def read_export(lines: Iterable[bytes]) -> Export:
    """Raises NotAnExportError, also while the records are read."""
    iterator = iter(lines)
    head = _decoded(next(iterator, b""), ExportHead)
    if head.potluck_audit != FORMAT:
        raise NotAnExportError(f"it has format {head.potluck_audit}, and this potluck knows {FORMAT}")
    vouchers, first_record = [], b""
    for line in iterator:
        if not line.startswith(b'{"checkpoint"'):
            first_record = line
            break
        vouchers.append(Voucher(_decoded(line, ExportCheckpoint).checkpoint, "the export"))
    records = (line for part in ([first_record], iterator) for line in part if line.strip())
    evidence = Evidence(head.log, tuple(vouchers), head.first, whole=False)
    return Export(head, evidence, (_link(_decoded(line, ExportRecord)) for line in records))


def _lines(head: ExportHead, checkpoints: list[Checkpoint], reader: AuditReader) -> Iterator[bytes]:
    yield msgspec.json.encode(head) + b"\n"
    for checkpoint in checkpoints:
        yield msgspec.json.encode(ExportCheckpoint(checkpoint)) + b"\n"
    for link in reader.links(head.first, head.last):
        text = link.body.decode(errors="replace")  # one that is no text is damaged, and does not get better by this
        yield msgspec.json.encode(ExportRecord(link.sequence, link.previous.hex(), link.digest.hex(), text)) + b"\n"


def _decoded(line: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAnExportError(f"{error}: {line[:60]!r}") from error


def _at_ms(link: Link) -> int:
    try:
        return place_of(link.body).at_ms
    except NotARecordError:
        return -1  # verification says which it is


def _link(record: ExportRecord) -> Link:
    try:
        digests = bytes.fromhex(record.previous), bytes.fromhex(record.digest)
    except ValueError as error:
        raise NotAnExportError(f"record {record.sequence}: {error}") from error
    return Link(record.sequence, digests[0], record.record.encode("utf-8", "replace"), digests[1])
