"""A proof of where private data was, as text and as JSON."""

from datetime import UTC, datetime

import msgspec

from cli.privacy_checks import Proved
from cli.render_audit import verdict_document
from cli.table import printable, table
from cluster.privacy_proof import MachineSeen, RuleHeld

HEADERS = ("MACHINE", "ZONE", "MAY BE IN", "TIMES", "WHAT FOR", "FIRST (UTC)", "LAST (UTC)", "VERDICT")


def proof_text(found: Proved, columns: int | None = None) -> str:
    proof, question = found.proof, found.proof.question
    span = f"from {_moment(question.from_ms)} to {_moment(question.to_ms)} UTC"
    lines = [f"{printable(question.data_class)}, {span}"]
    lines += [f"  from {_moment(rule.from_ms)}: {_rule(rule)}" for rule in proof.rules]
    if proof.machines:
        lines += ["", table(HEADERS, [_cells(one) for one in proof.machines], columns, ("WHAT FOR", "FIRST (UTC)")), ""]
    else:
        lines.append("no machine is on record; of what may be anywhere there is no record at all")
    return "\n".join([*lines, *_verdict(found)])


def proof_document(found: Proved) -> dict[str, object]:
    proof = found.proof
    document: dict[str, object] = msgspec.to_builtins(proof)
    return {
        **document,
        "machines": [
            {**msgspec.to_builtins(one), "deeds": dict(one.deeds), "count": one.count} for one in proof.machines
        ],
        "holds": found.holds,
        "covered": found.covered,
        "audit": verdict_document(found.checked),
    }


def _verdict(found: Proved) -> list[str]:
    proof, finding = found.proof, found.checked.verdict.finding
    lines: list[str] = []
    if finding is not None:
        lines.append(f"NOT PROVED: the audit is not as it was written ({finding.fault}): {printable(finding.message)}")
    if proof.unread:
        lines.append(f"NOT PROVED: {len(proof.unread)} records cannot be read, the first is {proof.unread[0]}")
    if not found.covered:
        since = "nothing is left" if proof.since_ms is None else f"the audit begins at {_moment(proof.since_ms)}"
        lines.append(f"NOT PROVED: records of that time have expired; {since}")
    for one in proof.outside:
        where = f"was in `{printable(one.zone)}`" if one.zone else "was in no zone"
        times = "once" if one.count == 1 else f"{one.count:,} times"
        lines.append(f"OUTSIDE: {printable(one.node_id)} {where} when it had it, {times}")
    if not lines:
        count = found.checked.verdict.records
        lines.append(f"proved: no machine outside its zones had it; {count:,} records verify, as they were written")
    return lines


def _cells(one: MachineSeen) -> tuple[str, ...]:
    deeds = ", ".join(f"{deed} {count}" for deed, count in one.deeds)
    times = (_moment(one.first_ms), _moment(one.last_ms))
    verdict = "outside" if one.outside else "within"
    return (one.node_id, one.zone or "none", ", ".join(one.allowed), str(one.count), deeds, *times, verdict)


def _rule(rule: RuleHeld) -> str:
    if not rule.named:
        return "cluster.yaml has no such class: refused"
    return "may be anywhere" if rule.zones is None else f"may be in {printable(', '.join(rule.zones))}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
