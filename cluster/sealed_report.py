"""What the journal of sealed mode comes to: whom this machine's processes reached and whom they were refused, signed.

Pure. A report is a text and a signature over it, so that anybody with the public key can see whether it is as it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cluster.audit_chain import public_text

FORMAT = 1
_MARK = b"potluck sealed report 1\n"
Verdict = Literal["guarded", "contacted", "refused", "passed"]

LIMITS = (
    "refused and contacted: what Python's own modules were asked for, in processes that the guard was started in; "
    "addresses of this machine are not counted",
    "passed: connections of C code and of other programs, found by a look every two seconds; a shorter one, and a "
    "datagram without a connection, is not seen",
    "whoever may write this user's files can change the journal: a firewall is the witness that does not depend on it",
)


class NotAReportError(Exception):
    """A file that is no report, or is not as it was signed. Handled by the command: it prints this and exits 3."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this is no report of sealed mode that can be believed: {reason}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal. Older lines may lack what came later."""

    at_ms: int
    verdict: str
    what: str
    peer: str
    count: int
    process: str
    pid: int = 0
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The same by the same to the same, added up. `modules` are those of the last time, the nearest first."""

    verdict: str
    what: str
    peer: str
    process: str
    count: int
    first_ms: int
    last_ms: int
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    potluck_sealed_report: int
    cluster: str
    node: str
    sealed: bool  # whether it is now
    from_ms: int
    to_ms: int
    networks: tuple[str, ...]  # that may be reached now
    rows: tuple[Row, ...]
    unreadable_lines: int
    limits: tuple[str, ...]
    public_key: str

    def of(self, verdict: Verdict) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)


@dataclass(frozen=True, slots=True)
class SignedReport:
    """`report` is the exact text that was signed. Believe nothing in it before `verified` has."""

    report: str
    signature: str


def read_entries(lines: Iterable[bytes]) -> tuple[tuple[Entry, ...], int]:
    """With how many lines say nothing: one may be cut where a disk was full."""
    entries, unreadable = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
    return tuple(entries), unreadable


def added_up(entries: Sequence[Entry], from_ms: int, to_ms: int) -> tuple[Row, ...]:
    """By verdict, peer and process; what happened most often first."""
    found: dict[tuple[str, str, str, str], Row] = {}
    for entry in entries:
        if not from_ms <= entry.at_ms < to_ms:
            continue
        key = entry.verdict, entry.what, entry.peer, entry.process
        before = found.get(key)
        found[key] = Row(
            *key,
            count=entry.count + (before.count if before else 0),
            first_ms=min(entry.at_ms, before.first_ms) if before else entry.at_ms,
            last_ms=max(entry.at_ms, before.last_ms) if before else entry.at_ms,
            modules=entry.modules,
        )
    return tuple(sorted(found.values(), key=lambda row: (row.verdict, -row.count, row.peer, row.process)))


def sign(report: Report, key: Ed25519PrivateKey) -> SignedReport:
    text = msgspec.json.encode(report, order="sorted")
    return SignedReport(text.decode(), key.sign(_MARK + text).hex())


def encoded(signed: SignedReport) -> bytes:
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def verified(content: bytes, key: Ed25519PublicKey) -> Report:
    """What it says, once its signature is this key's. Raises NotAReportError."""
    try:
        signed = msgspec.json.decode(content, type=SignedReport)
        text = signed.report.encode()
        key.verify(bytes.fromhex(signed.signature), _MARK + text)
        report = msgspec.json.decode(text, type=Report)
    except InvalidSignature:
        raise NotAReportError(f"it was not signed by the key {public_text(key)}, or was changed since") from None
    except (ValueError, UnicodeError) as error:
        raise NotAReportError(str(error)) from None
    if report.potluck_sealed_report != FORMAT:
        raise NotAReportError(f"it has format {report.potluck_sealed_report}, and this potluck knows {FORMAT}")
    return report
