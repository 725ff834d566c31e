"""Where requests may go, as one snapshot has it: privacy classes, the zones of machines, and the gateway's own. Pure.

What is asked for each request is looked up: zones are reckoned once for each set of classes and snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cluster.privacy import USUAL_CLASS, USUAL_RULES, PrivacyRules, UnknownClassError, Zones, rules_of
from cluster.snapshot import ClusterSnapshot
from nodes.snapshot import EngineId, NodeId
from router.errors import ApiError

NOWHERE: frozenset[str] = frozenset()
MOST_SETS = 4096  # of classes, that are remembered
NO_ELIGIBLE_NODE = "no_eligible_node"


@dataclass(frozen=True, slots=True)
class Places:
    """Machines and engines of a snapshot. `gateway`: the zone of the machine that the gateway runs on, where that is
    known: whatever it relays passes through there."""

    zones: Mapping[NodeId, str] = field(default_factory=dict)
    nodes: Mapping[EngineId, NodeId] = field(default_factory=dict)
    gateway: str | None = None


class Borders:
    """Of one snapshot. `zones_of` is for every decision, `refusal` for a request that comes."""

    def __init__(self, rules: PrivacyRules = USUAL_RULES, places: Places | None = None) -> None:
        self.rules, self.places = rules, places or Places()
        self._zones: dict[frozenset[str], Zones] = {}

    def zones_of(self, classes: frozenset[str]) -> Zones:
        """Where something of all these classes may go. Nowhere, where one of them is not known."""
        try:
            return self._zones[classes]
        except KeyError:
            return self._learn(classes)

    def allows(self, node_id: NodeId, zones: Zones) -> bool:
        return zones is None or self.places.zones.get(node_id, "") in zones

    def holds(self, engine_id: EngineId, zones: Zones) -> bool:
        """The machine of this engine is in one of these zones."""
        node_id = self.places.nodes.get(engine_id)
        return node_id is not None and self.allows(node_id, zones)

    def zone_of(self, node_id: NodeId) -> str:
        return self.places.zones.get(node_id, "")

    def may_stay(self, classes: frozenset[str]) -> bool:
        """The gateway's own machine may keep it."""
        zones = self.zones_of(classes)
        return zones is None or self.places.gateway in zones

    def refusal(self, classes: frozenset[str], own: str) -> ApiError | None:
        """Why nothing of these classes can be served by this gateway, wherever engines are. `own`: the caller's key's
        class, which he did not choose for this request."""
        zones = self.zones_of(classes)
        if zones is None or self.places.gateway in zones:
            return None
        try:
            self.rules.of((own,))
        except UnknownClassError as error:
            return ApiError(403, "unknown_data_class", f"the privacy class of this key is gone: {error}")
        try:
            self.rules.of(classes)
        except UnknownClassError as error:
            return ApiError(400, "unknown_data_class", str(error))
        if not zones:
            said = f"{words_of(classes)} have no zone in common, so that nothing of all of them may go anywhere"
            return ApiError(403, NO_ELIGIBLE_NODE, f"{said}; ask without one of them")
        gateway = self.places.gateway
        where = f"is in the zone `{gateway}`" if gateway else "is in no zone of cluster.yaml"
        said = f"{words_of(classes)} may be in {zones_named(zones)} only, and the gateway's own machine {where}"
        return ApiError(403, NO_ELIGIBLE_NODE, f"{said}; run the gateway on a machine that is in one of them")

    def _learn(self, classes: frozenset[str]) -> Zones:
        try:
            zones = self.rules.of(classes)
        except UnknownClassError:
            return NOWHERE
        if len(self._zones) >= MOST_SETS:
            self._zones.clear()
        self._zones[classes] = zones
        return zones


def borders_of(snapshot: ClusterSnapshot) -> Borders:
    zones = {node.node_id: node.zone for node in snapshot.nodes}
    nodes = {
        engine.engine_id: node.node_id
        for node in snapshot.nodes
        for engine in (node.snapshot.engines if node.snapshot else ())
    }
    own = next((node.zone for node in snapshot.nodes if node.link == "local"), None)
    return Borders(rules_of(snapshot.classes), Places(zones, nodes, own))


@lru_cache(maxsize=1024)
def class_set(name: str) -> frozenset[str]:
    return frozenset((name,))


USUAL = class_set(USUAL_CLASS)


@lru_cache(maxsize=1024)
def scope_of(tenant: str, classes: frozenset[str]) -> str:
    """Whose something is, of which classes: what is kept of one scope is never told or sent in another's name."""
    return tenant if classes == USUAL else "\0".join((tenant, *sorted(classes)))


def words_of(classes: frozenset[str]) -> str:
    named = ", ".join(f"`{name}`" for name in sorted(classes))
    return f"the privacy {'class' if len(classes) == 1 else 'classes'} {named}"


def zones_named(zones: frozenset[str]) -> str:
    named = ", ".join(f"`{zone}`" for zone in sorted(zones))
    return f"the {'zone' if len(zones) == 1 else 'zones'} {named}"
