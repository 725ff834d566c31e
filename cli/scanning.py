"""What `potluck privacy scan` tells of a text: each thing found, masked, and what becomes of it by whom."""

from dataclasses import dataclass

from cli.wire import load_or_default
from cluster.pii.policy import KEY, Policy, Said, plan_of
from cluster.pii.scan import scan_long
from cluster.pii.spans import Kind, settled
from cluster.pii_presidio import finder_of
from inventory.paths import StatePaths

SHOWN = 2  # characters of a value that are shown at each end, of those that are longer than four times that


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` counts from 1. `policy` "off": it is left alone."""

    kind: Kind
    line: int
    masked: str
    confidence: float
    reason: str
    policy: Policy
    who: str


def findings(text: str, paths: StatePaths, said: Policy | None) -> list[Finding]:
    """Raises ConfigError, NoPresidioError."""
    section = load_or_default(paths).config.pii
    rules = section.rules()
    plan = plan_of(rules, (Said(KEY, said),))
    found = scan_long(text, rules.least)
    names = finder_of(section.names)
    if names is not None:
        found = settled((*found, *names.find(text, "")), rules.least)
    return [
        Finding(
            span.kind, text.count("\n", 0, span.start) + 1, masked(text[span.start : span.end]), span.confidence,
            span.reason, *(("off", "") if plan is None or span.kind not in plan.rulings else plan.rulings[span.kind]),
        )
        for span in found
    ]  # fmt: skip


def masked(value: str) -> str:
    """No more of it than tells one from another."""
    if len(value) <= 4 * SHOWN:
        return "*" * len(value)
    return f"{value[:SHOWN]}{'*' * 6}{value[-SHOWN:]}"
