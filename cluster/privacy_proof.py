"""Which machines ever had what is of a privacy class, by the audit's records: records in, what they prove out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.audit_records import AuditRecord
from cluster.sightings import Rules, Seen, rules_in, seen_in
from nodes.snapshot import NodeId


@dataclass(frozen=True, slots=True)
class ProofQuestion:
    """Of a class, from a moment to another, which is not part of it; wall time in milliseconds."""

    data_class: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class MachineSeen:
    """What one machine had while it was in one zone and the class was bound to these. `outside`: it was in none."""

    node_id: NodeId
    zone: str
    allowed: tuple[str, ...]
    outside: bool
    deeds: tuple[tuple[str, int], ...]  # how often what was done there, by name
    first_ms: int
    last_ms: int

    @property
    def count(self) -> int:
        return sum(count for _, count in self.deeds)


@dataclass(frozen=True, slots=True)
class RuleHeld:
    """What cluster.yaml said of the class from then on. `zones` None: anywhere, so nothing is on record; `named` False:
    there was no such class."""

    from_ms: int
    named: bool
    zones: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`since_ms`: of the first record that is left; None where there is none."""

    question: ProofQuestion
    machines: tuple[MachineSeen, ...]
    rules: tuple[RuleHeld, ...]
    since_ms: int | None
    unread: tuple[int, ...] = ()  # records that say something of this kind, and cannot be understood

    @property
    def outside(self) -> tuple[MachineSeen, ...]:
        return tuple(one for one in self.machines if one.outside)


@dataclass(slots=True)
class _Machine:
    deeds: dict[str, int] = field(default_factory=dict)
    first_ms: int = 0
    last_ms: int = 0

    def add(self, seen: Seen) -> None:
        self.first_ms = min(self.first_ms, seen.first_ms) if self.deeds else seen.first_ms
        self.last_ms = max(self.last_ms, seen.last_ms)
        self.deeds[seen.deed] = self.deeds.get(seen.deed, 0) + seen.count


def prove(question: ProofQuestion, records: Iterable[AuditRecord]) -> Proof:
    """From all records, in their order: what a gateway could not tell at once is in one that came later."""
    machines: dict[tuple[NodeId, str, tuple[str, ...], bool], _Machine] = {}
    rules: list[RuleHeld] = []
    since_ms: int | None = None
    unread: list[int] = []
    for record in records:
        since_ms = record.at_ms if since_ms is None else since_ms
        seen, held = seen_in(record), rules_in(record)
        if seen == "unreadable":
            unread.append(record.sequence)
        elif isinstance(seen, Seen) and question.data_class in seen.classes and _overlaps(seen, question):
            machines.setdefault((seen.node_id, seen.zone, seen.allowed, seen.outside), _Machine()).add(seen)
        if held is not None and record.at_ms < question.to_ms:
            rules.append(_of_class(record.at_ms, held, question.data_class))
    found = (
        MachineSeen(node_id, zone, allowed, outside, tuple(sorted(one.deeds.items())), one.first_ms, one.last_ms)
        for (node_id, zone, allowed, outside), one in machines.items()
    )
    told = tuple(sorted(found, key=lambda one: (not one.outside, one.node_id, one.first_ms)))
    return Proof(question, told, _in_force(rules, question.from_ms), since_ms, tuple(unread))


def _overlaps(seen: Seen, question: ProofQuestion) -> bool:
    return seen.last_ms >= question.from_ms and seen.first_ms < question.to_ms


def _of_class(at_ms: int, held: Rules, data_class: str) -> RuleHeld:
    return RuleHeld(at_ms, data_class in held, held.get(data_class))


def _in_force(rules: list[RuleHeld], from_ms: int) -> tuple[RuleHeld, ...]:
    """The last before that time, and each change since."""
    told: list[RuleHeld] = []
    for rule in rules:
        if rule.from_ms <= from_ms:
            told = [rule]
        elif not told or (told[-1].named, told[-1].zones) != (rule.named, rule.zones):
            told.append(rule)
    return tuple(told)
