"""The words of a plan: what would change if a configuration were applied. The API answers with these. Pure."""

from dataclasses import dataclass
from typing import Literal

Change = Literal["start", "restart", "stop", "stay"]


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What engines may hold in the pools of one kind of engine on one machine, and what they do before and after.

    `pools` of a machine with several are joined: llama.cpp splits a model between a GPU and main memory. None is a
    budget that cannot be read.
    """

    node: str
    pools: str
    budget_bytes: int | None
    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class EngineChange:
    """`load_s` is what its start took earlier, where it was measured; a restart costs that, after a drain."""

    engine: str
    node: str
    model: str
    kind: str
    change: Change
    why: str
    need_bytes: int
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A model with fewer replicas than it should have (`least`), or could have (`most`), and why."""

    model: str
    placed: int
    least: int
    most: int
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """An artifact that a machine lacks. `holder` is the machine that it is copied from by itself; without one, `source`
    is what `potluck models pull` or `import` has to bring. None is a size that nobody knows yet."""

    model: str
    node: str
    size_bytes: int | None
    holder: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Sleep:
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class ConfigPlan:
    """Against the revision in force; None where no head runs, and machines are as they are described."""

    revision: int | None
    pools: tuple[PoolChange, ...]
    engines: tuple[EngineChange, ...]
    left_out: tuple[Shortage, ...]
    could_grow: tuple[Shortage, ...]
    arrivals: tuple[Arrival, ...]
    asleep: tuple[Sleep, ...]

    @property
    def changes(self) -> bool:
        return bool(self.arrivals) or any(one.change != "stay" for one in self.engines)
