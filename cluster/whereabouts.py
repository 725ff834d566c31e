"""Which zone each machine is in, and which classes may be where: what keeps documents must know. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cluster.knowledge import KnowledgeError
from cluster.privacy import USUAL_RULES, PrivacyRules, UnknownClassError, Zones
from nodes.snapshot import NodeId


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """As the gateway knows them now. `here`: the machine that it runs on; None before the head was heard."""

    rules: PrivacyRules = USUAL_RULES
    zones: Mapping[NodeId, str] = field(default_factory=dict)  # by machine
    here: NodeId | None = None

    def zones_of(self, classes: Iterable[str]) -> Zones:
        """Where something of all these classes may go. Raises KnowledgeError for one that is not in cluster.yaml."""
        try:
            return self.rules.of(classes)
        except UnknownClassError as error:
            raise KnowledgeError("invalid", "unknown_class", str(error), "data_class") from error

    def why_not(self, node_id: NodeId | None, classes: Iterable[str]) -> str | None:
        """Why what is of these classes may not be on a machine. None where it may. Raises KnowledgeError."""
        classes = frozenset(classes)
        allowed = self.zones_of(classes)
        if allowed is None:
            return None
        zone = self.zones.get(node_id) if node_id is not None else None
        if zone in allowed:
            return None
        where = f"is in the zone {zone}" if zone else "is in no zone that is known"
        return f"{node_id or 'this machine'} {where}, and {told(classes)} may only be in {listed(allowed)}"


def listed(zones: frozenset[str]) -> str:
    return ", ".join(sorted(zones)) or "no zone at all: its classes have none in common"


def told(classes: frozenset[str]) -> str:
    return f"what is {' and '.join(sorted(classes))}"
