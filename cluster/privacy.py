"""Privacy classes: where what belongs to a class may be sent and kept. Pure.

A request has every class of what goes into it: its key's, those it names itself, and those of the documents that it is
given to read. It may go where all of them may.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from nodes.snapshot import NodeId

USUAL_CLASS = "private"
USUAL_ZONE = "default"
Zones = frozenset[str] | None
"""Of machines. None: every one of the cluster."""


class UnknownClassError(Exception):
    """A class that cluster.yaml does not name: nobody can say where it may go."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(
            f"there is no privacy class `{name}`; cluster.yaml has {', '.join(sorted(known))}. Name it below "
            f"`privacy.classes`, or use one of these"
        )


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """The classes of cluster.yaml, by name, and where each may go."""

    zones: Mapping[str, Zones]

    def of(self, classes: Iterable[str]) -> Zones:
        """Where something of all these classes may go: the zones that they have in common, which may be none at all.
        Raises UnknownClassError."""
        allowed: Zones = None
        for name in classes:
            if name not in self.zones:
                raise UnknownClassError(name, self.zones)
            own = self.zones[name]
            if own is not None:
                allowed = own if allowed is None else allowed & own
        return allowed


USUAL_RULES = PrivacyRules(MappingProxyType({USUAL_CLASS: None}))


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One class, as cluster.yaml has it and snapshots carry it. `zones` None: anywhere."""

    name: str
    zones: tuple[str, ...] | None = None


USUAL_CLASSES = (ClassRule(USUAL_CLASS),)


def rules_of(classes: Iterable[ClassRule]) -> PrivacyRules:
    """The usual class is there whether or not cluster.yaml names it."""
    named = {rule.name: None if rule.zones is None else frozenset(rule.zones) for rule in classes}
    return PrivacyRules(MappingProxyType({USUAL_CLASS: None, **named}))


class Witness(Protocol):
    """Keeps, for `potluck privacy prove`, which machine had what of which class: in the audit trail, where the class is
    bound to zones."""

    def saw(self, node_id: NodeId, classes: frozenset[str], deed: str, about: str, zone: str | None = None) -> None:
        """`deed`: what was done there ("answered", "embedded", "parsed", "kept"); `about`: a request's or file's id.
        `zone`: of what is no machine of the cluster."""
        ...
