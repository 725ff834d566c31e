"""What `potluck audit` reads: the database beside the head, a file, and the copies that members keep."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.admin_wire import AuditCopy
from cluster.audit_chain import public_key, public_text
from cluster.audit_export import exported, read_export
from cluster.audit_key import read_audit_key
from cluster.audit_shown import opened_audit, shown_records, verdict_of
from cluster.audit_verify import Verdict, verify
from cluster.audit_wire import ShownRecord
from inventory.paths import StatePaths

FOLLOW_EVERY_S = 0.5


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
    with opened_audit(paths) as reader:
        return list(shown_records(paths, reader, max(0, reader.last - count) + 1))


def follow_records(paths: StatePaths, seen: Sequence[ShownRecord]) -> Iterator[ShownRecord]:
    """Those after the ones that were seen, as they come, until interrupted."""
    last = seen[-1].record.sequence if seen else 0
    with opened_audit(paths) as reader:
        while True:
            for shown in shown_records(paths, reader, last + 1):
                last = shown.record.sequence
                yield shown
            time.sleep(FOLLOW_EVERY_S)
            reader.again()


def verify_log(paths: StatePaths, key_text: str | None) -> Checked:
    """By the key that was named, else this machine's."""
    copies, not_asked = asyncio.run(_copies(paths))
    with opened_audit(paths):
        key = _key(key_text or _own_key(paths) or "")
    verdict = verdict_of(paths, key, copies)
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
    with opened_audit(paths) as reader:
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


async def _copies(paths: StatePaths) -> tuple[tuple[AuditCopy, ...], str]:
    """With the reason why nobody was asked."""
    try:
        return await AdminClient(paths.head_socket).audit_copies(), ""
    except (HeadUnreachableError, AdminRefusedError) as error:
        return (), str(error)


def _key(text: str) -> Ed25519PublicKey:
    try:
        return public_key(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no public key: {error}", param_hint="--key") from None


def _own_key(paths: StatePaths) -> str | None:
    return public_text(read_audit_key(paths.audit_key).public_key()) if paths.audit_key.exists() else None
