"""What the control plane may ask of a node: orders that carry the epoch and revision they were decided under."""

from dataclasses import dataclass, field

from inventory.catalog import ArtifactFormat, ArtifactId, ModelName, ModelRef
from nodes.snapshot import EngineId, EngineKind, NodeId


@dataclass(frozen=True, slots=True)
class Authority:
    """Who decided, and on what. A node refuses an order whose epoch is lower than the highest it has seen."""

    epoch: int  # grows each time a controller takes over
    config_revision: int


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One engine that should run: everything needed to start it, nothing about why."""

    engine_id: EngineId
    kind: EngineKind
    model: ModelRef
    context_tokens: int  # per request
    slots: int  # concurrent requests
    options: tuple[tuple[str, str], ...] = ()  # engine-specific, validated by the adapter
    cache_tokens: int = 0  # that all requests share; 0: each slot has a context of its own
    # What the head knows about it. No setting: a running engine is not started again because these have changed.
    need_bytes: int = field(default=0, compare=False)  # at its peak; 0 from a head that does not say
    on_demand: bool = field(default=False, compare=False)  # its model sleeps while nobody asks for it


@dataclass(frozen=True, slots=True)
class ArtifactHolder:
    """Another node that holds an artifact, and where it gives it to others: on its TLS port."""

    node: NodeId
    host: str
    port: int
    is_head: bool = False
    """The head's own machine: it gives on the join listener, as the controller. A member asks at the address by which
    it knows its head: the head itself may only know that it listens on every address."""


@dataclass(frozen=True, slots=True)
class PullOrder:
    """One artifact that should be on this node, under this name. Holders are asked in this order."""

    name: ModelName
    artifact_id: ArtifactId
    format: ArtifactFormat
    holders: tuple[ArtifactHolder, ...]


class StaleOrderError(Exception):
    """An order from a controller that has been replaced. Caught by the node API, which answers 409."""

    def __init__(self, given: Authority, known: Authority) -> None:
        super().__init__(f"order of epoch {given.epoch} refused: epoch {known.epoch} has taken over")
        self.given, self.known = given, known
