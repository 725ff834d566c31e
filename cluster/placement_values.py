"""The words of placement: machines that it looks at, and what it says about each model. Pure."""

from dataclasses import dataclass
from typing import Literal

from cluster.desired import WantedNode
from cluster.fit_engines import EngineMemory
from inventory.catalog import ModelName
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, NodeId, NodeSnapshot


@dataclass(frozen=True, slots=True)
class Admission:
    """What a node may be given. open: anything. kept: nothing new, what runs there stays. leaving: what serves there
    stays until another serves instead. shut: nothing, and what runs there is not counted on."""

    kind: Literal["open", "kept", "leaving", "shut"] = "open"
    why: str = ""  # for the owner to read, where it is not open


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that placement may look at."""

    wanted: WantedNode
    snapshot: NodeSnapshot
    admission: Admission = Admission()
    memories: tuple[EngineMemory, ...] = ()  # of its engines, as its ledger has corrected them

    @property
    def node_id(self) -> NodeId:
        return self.snapshot.node_id


@dataclass(frozen=True, slots=True)
class Assignment:
    """One engine that should exist on one node."""

    node_id: NodeId
    spec: EngineSpec
    need_bytes: int  # at its peak
    why: str
    learned_bytes: int = 0  # of it, what the ledger added: an engine that runs is not stopped for that


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A replica with no node to run on: what stands in the way on each, for the owner to read."""

    model: ModelName
    reasons: tuple[tuple[NodeId, str], ...]

    @property
    def reason(self) -> str:
        if len(self.reasons) == 1:
            return self.reasons[0][1]
        return "; ".join(f"{node_id}: {reason}" for node_id, reason in self.reasons) or "no machine has reported yet"


@dataclass(frozen=True, slots=True)
class Placement:
    assignments: tuple[Assignment, ...]  # by engine id
    unplaced: tuple[Unplaced, ...]  # by model
    stand_ins: frozenset[EngineId] = frozenset()  # not wanted where they are, but left alone until others serve
    below_most: tuple[
        Unplaced, ...
    ] = ()  # by model: has all that it must have, and could have more; what stands in the way

    def on(self, node_id: NodeId) -> tuple[Assignment, ...]:
        return tuple(assignment for assignment in self.assignments if assignment.node_id == node_id)
