"""A placement in the making: what has a place so far, and which place is better for one more replica. Pure."""

from dataclasses import dataclass, replace

from cluster.desired import WantedModel
from cluster.placement_values import Assignment, Candidate, Placement
from cluster.placement_ways import ABSENT, Obstacle, Prospects, Way, next_id, room_beside, standing
from inventory.catalog import ModelName
from inventory.sizes import format_bytes
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, NodeId

NOTHING = Placement((), ())
Obstacles = tuple[tuple[NodeId, Obstacle], ...]
Rank = tuple[int, int, int, int, int, NodeId]


@dataclass(frozen=True, slots=True)
class Draft:
    """A placement in the making. `extra` are replicas that run beyond what their models must have. On each node they
    are the ones with the highest numbers."""

    prospects: Prospects
    placement: Placement = NOTHING
    extra: frozenset[EngineId] = frozenset()
    left_out: tuple[tuple[WantedModel, Obstacles], ...] = ()

    def way_on(self, model: WantedModel, node: Candidate) -> Way | Obstacle:
        """Beside all that has a place so far."""
        return self.prospects.way_on(model, node, self.placement)

    def of(self, name: ModelName) -> list[Assignment]:
        return [item for item in self.placement.assignments if item.spec.model.name == name]

    def extras_of(self, name: ModelName) -> list[Assignment]:
        return [item for item in self.of(name) if item.spec.engine_id in self.extra]

    def least_of(self, name: ModelName) -> int:
        return len(self.of(name)) - len(self.extras_of(name))

    def plus(self, item: Assignment, extra: bool = False) -> "Draft":
        placement = replace(self.placement, assignments=(*self.placement.assignments, item))
        return replace(self, placement=placement, extra=self.extra | {item.spec.engine_id} if extra else self.extra)

    def minus(self, item: Assignment) -> "Draft":
        left = tuple(other for other in self.placement.assignments if other is not item)
        placement = replace(self.placement, assignments=left)
        return replace(self, placement=placement, extra=self.extra - {item.spec.engine_id})

    def counted(self, item: Assignment) -> "Draft":
        """An extra one counts towards the least from now on."""
        return replace(self, extra=self.extra - {item.spec.engine_id})


def rank(model: WantedModel, node: Candidate, item: Assignment, placement: Placement) -> Rank:
    """Lowest wins: fewest replicas of this model, where it serves or runs, `prefer`, `on`, most memory left, name."""
    identity, name = item.spec.engine_id, node.node_id
    preferred = model.prefer.index(name) if name in model.prefer else len(model.prefer)
    listed = model.on.index(name) if name in model.on else 0
    room = room_beside(node, item.spec.kind, placement)
    left = room.free_bytes if room is not None else 0
    return number(identity), standing(identity, node), preferred, listed, -left, name


def number(identity: EngineId) -> int:
    return int(identity.rsplit(".", 1)[1])


def assign(model: WantedModel, node: Candidate, way: Way, placement: Placement) -> Assignment:
    identity = next_id(model, node, placement)
    running = standing(identity, node) < ABSENT
    return Assignment(
        node_id=node.node_id,
        spec=EngineSpec(
            engine_id=identity,
            kind=way.kind,
            model=way.held.ref,
            context_tokens=model.context_tokens,
            slots=model.slots,
            options=model.options_for(way.kind),
            cache_tokens=model.cache_tokens,
            need_bytes=way.need.total_bytes,
            on_demand=model.keep_alive_s is not None,
        ),
        need_bytes=way.need.total_bytes,
        why="runs here already" if running else _why(model, node, way, placement),
        learned_bytes=way.learned_bytes if running else 0,
    )


def _why(model: WantedModel, node: Candidate, way: Way, placement: Placement) -> str:
    room = room_beside(node, way.kind, placement)
    size = format_bytes(way.need.total_bytes)
    told = "its memory budget cannot be read" if room is None else f"{size} fit {format_bytes(room.free_bytes)} free"
    chosen = [
        f"models.{model.name}.{key} lists it, "
        for key, listed in (("on", model.on), ("prefer", model.prefer))
        if node.node_id in listed
    ]
    return f"{''.join(chosen)}holds the {way.held.format} artifact, has {way.kind}, {told}"
