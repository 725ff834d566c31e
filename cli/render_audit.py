"""The audit as text and as JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from cli.audit_checks import Checked
from cli.table import printable, table
from cluster.audit_records import Actor
from cluster.audit_wire import ShownRecord

HEADERS = ("RECORD", "TIME (UTC)", "ACTION", "OUTCOME", "WHO", "TARGET", "DETAILS", "REQUEST")


def record_table(records: Sequence[ShownRecord], columns: int | None = None) -> str:
    return table(
        HEADERS, [_cells(shown) for shown in records], columns, ("REQUEST", "OUTCOME", "TARGET"), ("DETAILS", "WHO")
    )


def record_line(shown: ShownRecord, *, as_json: bool) -> str:
    """One that came while somebody watched."""
    if as_json:
        return json.dumps(record_document(shown), ensure_ascii=False)
    return "  ".join(printable(cell) for cell in _cells(shown) if cell)


def record_document(shown: ShownRecord) -> dict[str, object]:
    record = shown.record
    document: dict[str, object] = msgspec.to_builtins(record)
    return {**document, "details": dict(record.details), "personal": dict(shown.personal)}


def verdict_text(checked: Checked) -> str:
    verdict, finding = checked.verdict, checked.verdict.finding
    span = f", {verdict.first} to {verdict.last}" if verdict.records else ""
    lines = [f"{checked.source}: {verdict.records:,} records{span}; key {checked.public_key}"]
    if finding is not None:
        which = f"record {finding.sequence}"
        if finding.through != finding.sequence:
            which = f"records {finding.sequence} to {finding.through}"
        return "\n".join([*lines, f"NOT as it was written: {which} {finding.fault}: {printable(finding.message)}"])
    counts = ", ".join(f"{count} of {keeper}" for keeper, count in verdict.agreeing)
    lines.append(f"as it was written; checkpoints that agree: {counts or 'none'}")
    if not checked.trusted:
        lines.append("by the key in the export itself: compare it with the head's, or name it with --key")
    return "\n".join([*lines, *_about_copies(checked)])


def verdict_document(checked: Checked) -> dict[str, object]:
    verdict = checked.verdict
    return {
        "source": checked.source,
        "public_key": checked.public_key,
        "trusted": checked.trusted,
        "whole": verdict.finding is None,
        "records": verdict.records,
        "first": verdict.first,
        "last": verdict.last,
        "agreeing": dict(verdict.agreeing),
        "finding": msgspec.to_builtins(verdict.finding),
        "unasked": [checked.not_asked]
        if checked.not_asked
        else [one.problem for one in checked.copies or () if one.problem],
    }


def _about_copies(checked: Checked) -> list[str]:
    if checked.copies is None:
        return []
    if checked.not_asked:
        return [f"copies on other machines were not asked: {printable(checked.not_asked)}"]
    if not checked.copies:
        return ["no other machine keeps a copy: whoever has this one's signing key could write it all anew"]
    return [f"{copy.member} was not asked: {printable(copy.problem)}" for copy in checked.copies if copy.problem]


def _cells(shown: ShownRecord) -> tuple[str, ...]:
    record = shown.record
    time = datetime.fromtimestamp(record.at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    details = " ".join(f"{name}={value}" for name, value in (*record.details, *shown.personal))
    who = _who(record.actor)
    return (str(record.sequence), time, record.action, record.outcome, who, record.target, details, record.request_id)


def _who(actor: Actor) -> str:
    return " ".join(part for part in (actor.kind, actor.name, actor.tenant, actor.role) if part)
