"""Where documents of a privacy class may be parsed and kept, and that it is on record where they were."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cluster.knowledge import KnowledgeError
from cluster.privacy import Witness
from cluster.whereabouts import Whereabouts, listed, told
from nodes.snapshot import NodeId

ELSEWHERE = NodeId("the store of vectors")


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the store of vectors is: beside the gateway, or on a server, in a zone that cluster.yaml may name."""

    beside: bool = True
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """`where` is asked each time: cluster.yaml may have changed since."""

    where: Callable[[], Whereabouts]
    witness: Witness | None = None
    kept: Kept = Kept()

    def check(self, classes: frozenset[str]) -> None:
        """Raises KnowledgeError where documents of these classes cannot be kept."""
        why = self.why_not_kept(classes)
        if why is not None:
            raise KnowledgeError("conflict", "outside_zones", f"it cannot be kept here: {why}", "data_class")

    def why_not_kept(self, classes: frozenset[str]) -> str | None:
        """The gateway reads all that it gives to others, so its own machine counts. Raises KnowledgeError."""
        where = self.where()
        why = where.why_not(where.here, classes)
        if why is not None or self.kept.beside:
            return why
        allowed = where.zones_of(classes)
        if allowed is None or self.kept.zone in allowed:
            return None
        named = f"is in the zone {self.kept.zone}" if self.kept.zone else "has no `zone:` in cluster.yaml"
        return f"the Weaviate that keeps documents {named}, and {told(classes)} may only be in {listed(allowed)}"

    def may_go(self, node_id: NodeId, classes: frozenset[str]) -> bool:
        """To another machine. Raises KnowledgeError."""
        return self.where().why_not(node_id, classes) is None

    def may_be_here(self, classes: frozenset[str]) -> bool:
        """On the gateway's own machine. Raises KnowledgeError."""
        where = self.where()
        return where.why_not(where.here, classes) is None

    def saw(self, node_id: NodeId | None, classes: frozenset[str], deed: Literal["parsed", "kept"], about: str) -> None:
        """`node_id` None: this machine. Only what is bound to zones is put on record."""
        where = self.where()
        if self.witness is None or where.zones_of(classes) is None:
            return
        if deed == "kept" and not self.kept.beside:
            self.witness.saw(ELSEWHERE, classes, deed, about, self.kept.zone or "")
        self.witness.saw(node_id or where.here or NodeId("this machine"), classes, deed, about)
