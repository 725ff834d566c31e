"""The words of the residency planner: models that sleep while nobody asks, who of them is awake, and the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Literal

from cluster.demand import ModelDemand
from cluster.placement_values import Placement
from inventory.catalog import ModelName
from nodes.snapshot import NodeId

# Found by simulation: with a swap in the router's score, two models that do not fit together were exchanged 48 times in
# a run and the slowest twentieth waited 650 s; with these rules there was no exchange, and 9.9 s.
DEMAND_FACTOR = 1.5  # the demand of a model must exceed that of those it displaces by so much
DEMAND_MARGIN_S = 2.0  # and by this
WINDOW_DWELLS = 2 / 3  # work of the last so many dwell times counts as demand
PATIENCE_DWELLS = 4.0  # a model that was asked for, for so long, gets its turn whatever the others' demand


@dataclass(frozen=True, slots=True)
class Rules:
    """`dwell_s`: a model that serves keeps its place for so long, and a machine sees one swap in that time.
    `notice_s`: a model takes no new requests for so long before it leaves, so that every gateway knows."""

    dwell_s: float
    notice_s: float = 1.0

    @property
    def window_s(self) -> float:
        return self.dwell_s * WINDOW_DWELLS

    @property
    def patience_s(self) -> float:
        return self.dwell_s * PATIENCE_DWELLS


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A model that runs only while it is asked for, as things stand. Times are monotonic."""

    name: ModelName
    keep_alive_s: float
    demand: ModelDemand
    work_s: float = 0.0  # that its requests spent on engines in the recent past
    used_s: float | None = None  # when it was last asked for
    serves: bool = False
    broken: bool = False  # it was started, and neither serves nor starts
    load_s: float | None = None  # measured earlier
    warm: bool = False  # it is awake without being asked, where nobody else needs the room

    @property
    def unasked(self) -> str:
        """Why it is awake where nobody else needs the room; empty for most."""
        return "kept warm" if self.warm else "wanted by a batch" if self.demand.background else ""

    @property
    def demand_s(self) -> float:
        """Seconds: of work done of late, and of waiting. The second grows while it waits, the first fades."""
        return self.demand_in(0.0, 1.0)

    def demand_in(self, seconds: float, window_s: float) -> float:
        """What it will be, if as many go on waiting and running as do now."""
        if self.broken:
            return 0.0
        steady_s = self.demand.running * window_s
        work_s = steady_s + (self.work_s - steady_s) * exp(-seconds / window_s)
        return work_s + self.demand.waited_s + self.demand.waiting * seconds


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that may hold memory."""

    name: ModelName
    since_s: float
    served_s: float | None = None  # its dwell time counts from here: while it loads it serves nobody
    leaves_s: float | None = None  # since when it takes no new requests
    room_for: ModelName | None = None  # whom it leaves for; None where it leaves because nobody asks


@dataclass(frozen=True, slots=True)
class Residency:
    """What a plan hands to the next one."""

    residents: tuple[Resident, ...] = ()
    asked: tuple[tuple[ModelName, float, float], ...] = ()  # asleep: asked for since when, and when last
    swaps: tuple[tuple[NodeId, float], ...] = ()  # the last one of each machine

    @property
    def names(self) -> frozenset[ModelName]:
        return frozenset(resident.name for resident in self.residents)


StanceKind = Literal["resident", "yielding", "asleep"]


@dataclass(frozen=True, slots=True)
class Stance:
    """What becomes of a model, and why. `wait_s`: how long it will be, as far as is known, until it may start."""

    kind: StanceKind
    why: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a model stands that need not run all the time, and when one that is on its way will serve."""

    stance: Stance | None = None  # None: it always runs
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    residency: Residency
    stances: Mapping[ModelName, Stance]


Trial = Callable[[frozenset[ModelName]], Placement]
"""Where everything would run if exactly these of the sleepers were awake, beside the models that always run."""
