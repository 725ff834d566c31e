"""Reports of sealed mode from a state directory: made and signed, written to a file, read back and checked."""

from pathlib import Path
from time import time

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cli.options import moment_s
from cli.prepare import this_node
from cli.wire import load_or_default
from cluster.audit_chain import public_key, public_text
from cluster.audit_key import ensure_audit_key, read_audit_key
from cluster.sealed_report import (
    FORMAT,
    LIMITS,
    NotAReportError,
    Report,
    SignedReport,
    added_up,
    encoded,
    read_entries,
    sign,
    verified,
)
from inventory.paths import StatePaths
from nodes.membership import read_membership
from nodes.sealing.guard import JOURNAL
from nodes.sealing.place import read_rules


class NeverSealedError(Exception):
    """There is nothing to report. The command prints this and exits 4."""


def made(paths: StatePaths, since: str) -> tuple[SignedReport, Report]:
    """Of this machine, until now. Raises NeverSealedError."""
    now_s = time()
    from_ms, to_ms = int(moment_s(since, now_s, "--since") * 1000), int(now_s * 1000) + 1
    rules = read_rules(paths)
    if rules is None:
        raise NeverSealedError("this machine was never sealed; see: potluck up --sealed")
    entries, unreadable = read_entries(_lines(paths))
    config, membership = load_or_default(paths).config, read_membership(paths.identity)
    key = ensure_audit_key(paths.audit_key)
    report = Report(
        potluck_sealed_report=FORMAT,
        cluster=membership.cluster if membership is not None else config.cluster.name,
        node=membership.node_id if membership is not None else this_node(paths, config),
        sealed=rules.sealed,
        from_ms=from_ms,
        to_ms=to_ms,
        networks=rules.networks,
        rows=added_up(entries, from_ms, to_ms),
        unreadable_lines=unreadable,
        limits=LIMITS,
        public_key=public_text(key.public_key()),
    )
    return sign(report, key), report


def written(signed: SignedReport, out: Path) -> str:
    """Raises FileExistsError."""
    with out.open("xb") as file:
        file.write(encoded(signed))
    return f"{out}: check it with `potluck sealed report --verify {out}`"


def read(paths: StatePaths, file: Path, key_text: str | None) -> Report:
    """By the key that was named, else this machine's. Raises NotAReportError."""
    if key_text is None and not paths.audit_key.exists():
        raise NotAReportError("this machine has no key to check it by; say --key, as the machine that made it does")
    return verified(file.read_bytes(), _key(paths, key_text))


def _key(paths: StatePaths, text: str | None) -> Ed25519PublicKey:
    if text is None:
        return read_audit_key(paths.audit_key).public_key()
    try:
        return public_key(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no public key: {error}", param_hint="--key") from None


def _lines(paths: StatePaths) -> list[bytes]:
    """The older journal first."""
    journal = paths.sealed / JOURNAL
    files = (journal.with_name(journal.name + ".1"), journal)
    return [line for file in files if file.exists() for line in file.read_bytes().splitlines()]
