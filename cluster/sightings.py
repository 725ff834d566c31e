"""Machines that were sent what is of a class bound to zones, as the audit has them: many in one record. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from cluster.audit_records import LONGEST_TEXT, MOST_DETAILS, POTLUCK, Action, Actor, AuditEvent, AuditRecord, Detail
from cluster.privacy import ClassRule
from nodes.snapshot import NodeId

ACTION: Action = "data.sent"
RULES: Action = "privacy.rules"
ANYWHERE = "*"
GATEWAY = Actor("potluck", "gateway")
_FACTS = 5  # details of a record beside those that hold names, of which a long list takes several


class Sighting(msgspec.Struct, frozen=True):
    """`allowed`: the zones that the classes were bound to then; `zone`: where the machine was. `about`: a request's or
    a file's id."""

    at_ms: int
    node_id: NodeId
    zone: str
    classes: tuple[str, ...]  # sorted
    allowed: tuple[str, ...]  # sorted
    deed: str
    about: str

    @property
    def kind(self) -> tuple[NodeId, str, tuple[str, ...], tuple[str, ...], str]:
        return self.node_id, self.zone, self.classes, self.allowed, self.deed


class Seen(msgspec.Struct, frozen=True):
    """What one record says."""

    node_id: NodeId
    zone: str
    classes: tuple[str, ...]
    allowed: tuple[str, ...]
    deed: str
    count: int
    first_ms: int
    last_ms: int
    about: tuple[str, ...]

    @property
    def outside(self) -> bool:
        return self.zone not in self.allowed


def events_of(sightings: Iterable[Sighting]) -> Iterator[AuditEvent]:
    """One for each machine, set of classes and deed, and for as many ids as a record holds."""
    kinds: defaultdict[tuple[object, ...], list[Sighting]] = defaultdict(list)
    for one in sightings:
        kinds[one.kind].append(one)
    for alike in kinds.values():
        left: Sequence[Sighting] = alike
        while left:
            event, count = _event(left)
            yield event
            left = left[count:]


Rules = Mapping[str, tuple[str, ...] | None]
"""The zones of each class; None: anywhere."""


def rules_event(classes: Sequence[ClassRule]) -> AuditEvent:
    """What cluster.yaml says of classes from now on: in one text, as a list of any length has no place in details."""
    said = ";".join(f"{rule.name}={ANYWHERE if rule.zones is None else ','.join(rule.zones)}" for rule in classes)
    texts = [said[at : at + LONGEST_TEXT] for at in range(0, len(said), LONGEST_TEXT)]
    details = tuple((f"classes.{number}", text) for number, text in enumerate(texts[:MOST_DETAILS], 1))
    return AuditEvent(RULES, "done", POTLUCK, details=details)


def rules_in(record: AuditRecord) -> Rules | None:
    """None of a record about something else."""
    if record.action != RULES:
        return None
    said = "".join(str(text) for _, text in record.details)
    pairs = (part.partition("=")[::2] for part in said.split(";") if part)
    return {name: None if zones == ANYWHERE else tuple(zones.split(",")) for name, zones in pairs}


def seen_in(record: AuditRecord) -> Seen | Literal["unreadable"] | None:
    """None of a record about something else."""
    if record.action != ACTION:
        return None
    facts = dict(record.details)
    try:
        return Seen(
            NodeId(record.target),
            str(facts["zone"]),
            _names(record, "classes"),
            _names(record, "allowed"),
            str(facts["deed"]),
            int(facts["count"]),
            int(facts["first_ms"]),
            int(facts["last_ms"]),
            _names(record, "about"),
        )
    except (KeyError, ValueError):
        return "unreadable"


def _event(alike: Sequence[Sighting]) -> tuple[AuditEvent, int]:
    """Of as many as one record holds, and how many those are."""
    first = alike[0]
    names, _ = _packed("classes", first.classes, MOST_DETAILS)
    zones, _ = _packed("allowed", first.allowed, MOST_DETAILS)
    room = max(MOST_DETAILS - _FACTS - len(names) - len(zones), 1)
    about, count = _packed("about", [one.about for one in alike], room)
    times = [one.at_ms for one in alike[:count]]
    facts: tuple[Detail, ...] = (
        ("zone", first.zone),
        ("deed", first.deed),
        ("count", count),
        ("first_ms", min(times)),
        ("last_ms", max(times)),
    )
    details = (*facts, *names, *zones, *about)
    return AuditEvent(ACTION, "done", GATEWAY, first.node_id, first.about, details), count


def _packed(what: str, names: Sequence[str], most: int) -> tuple[tuple[Detail, ...], int]:
    """Details that hold as many of these names as fit, and how many those are."""
    texts = [""]
    taken = 0
    for name in names:
        short = name[:LONGEST_TEXT]
        longer = f"{texts[-1]},{short}" if texts[-1] else short
        if len(longer) <= LONGEST_TEXT:
            texts[-1] = longer
        elif len(texts) < most:
            texts.append(short)
        else:
            break
        taken += 1
    return tuple((f"{what}.{number}", text) for number, text in enumerate(texts, 1)), taken


def _names(record: AuditRecord, what: str) -> tuple[str, ...]:
    texts = [str(text) for name, text in record.details if name.startswith(f"{what}.") and text]
    return tuple(name for text in texts for name in text.split(","))
