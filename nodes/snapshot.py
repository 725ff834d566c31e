"""What a node reports about itself: facts at one instant, nothing that acts."""

from dataclasses import dataclass
from typing import Literal, NewType

from inventory.catalog import ArtifactFormat, ArtifactId, HeldModel, ModelName, ModelRef
from inventory.hardware import Hardware
from nodes.rates import Rates

NodeId = NewType("NodeId", str)
EngineId = NewType("EngineId", str)  # unique in the cluster; doubles as the lease's file name: [a-z0-9.-]
EngineKind = Literal["vllm", "mlx", "llamacpp", "encoder"]

EngineState = Literal["starting", "ready", "draining", "stopping", "backoff", "quarantined", "stopped"]
"""starting: process runs, model loads. ready: takes requests. draining: finishes what it has. stopping: signalled.
backoff: died, restarts at a known time. quarantined: died too often, waits for the operator. stopped: by order."""


MemoryTerm = Literal["weights", "kv cache", "recurrent state", "compute buffers", "kept prompts", "runtime", "safety"]


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """One figure that an engine gives for what it took, and the terms of a need that it covers together."""

    terms: tuple[MemoryTerm, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EngineEndpoint:
    """Where an engine listens: loopback of its own node, always. The secret is a file, never a value."""

    host: str
    port: int
    secret_file: str | None


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy an engine says it is. None where this engine kind exports no such figure."""

    running: int | None = None
    waiting: int | None = None  # requests queued inside the engine
    slots: int | None = None
    kv_used: float | None = None  # 0..1
    prompt_tokens_total: int | None = None
    output_tokens_total: int | None = None
    steps_total: int | None = None  # model evaluations; moves while a request is worked on, even in a long prompt
    cache_bytes: int | None = None  # set aside for keys and values at the start
    arrays_peak_bytes: int | None = None  # the most that its arrays took together


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    engine_id: EngineId
    kind: EngineKind
    engine_version: str | None
    model: ModelRef
    state: EngineState
    reason: str  # why it is in this state, for people: "loading weights", "exited with signal 9; restart in 2 s"
    since_s: float  # wall time at which it entered this state
    generation: int  # counts starts; an answer from another generation is stale
    config_revision: int
    pid: int | None
    adopted: bool  # True if this daemon found it running instead of starting it
    endpoint: EngineEndpoint | None  # None while it has no port
    context_tokens: int  # per request: for llama.cpp the total context divided by slots
    load: EngineLoad
    progress_age_s: float | None  # seconds since it last produced a token while busy; None while idle
    ready_after_s: float | None  # measured start-up time of this generation
    cache_tokens: int = 0  # that all its requests share; 0: each slot has a context of its own
    memory_bytes: int | None = None  # main memory that its processes hold; None where it cannot be read
    memory_peak_bytes: int | None = None  # the most that was seen of this generation
    vram_bytes: int | None = None  # memory of NVIDIA's GPUs that its processes hold, as their driver tells it
    vram_peak_bytes: int | None = None
    memory_items: tuple[MemoryItem, ...] = ()  # what it says itself that it took
    rates: Rates | None = None  # measured when it first started on this machine; None where that did not succeed


@dataclass(frozen=True, slots=True)
class InstalledEngine:
    """An engine environment on this node that can start engines of its kind."""

    kind: EngineKind
    version: str


PullState = Literal["waiting", "copying", "checking", "failed"]
"""waiting: for another copy to end. checking: all bytes are here, and are hashed. failed: to be ordered again."""


@dataclass(frozen=True, slots=True)
class PullSnapshot:
    """An artifact on its way from another node. One that has arrived is among the models, and no longer here."""

    name: ModelName
    artifact_id: ArtifactId
    format: ArtifactFormat
    state: PullState
    holder: NodeId | None  # who is asked now, or was asked last
    done_bytes: int
    total_bytes: int | None
    reason: str  # why it failed


PressureLevel = Literal["calm", "tight", "short", "critical"]
"""tight: no new requests while other machines can serve, and nothing is started. short: none at all; caches are given
back, then the least valuable engine finishes and leaves. critical: the least valuable engine is stopped at once."""


@dataclass(frozen=True, slots=True)
class PressureSnapshot:
    """How short of main memory the machine is."""

    level: PressureLevel
    reason: str  # for people; "" when calm
    since_s: float  # wall time


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    node_id: NodeId
    zone: str  # privacy zone; "default" unless cluster.yaml says otherwise
    taken_at_s: float  # wall time
    hardware: Hardware
    installed: tuple[InstalledEngine, ...]
    engines: tuple[EngineSnapshot, ...]
    models: tuple[HeldModel, ...]
    pulls: tuple[PullSnapshot, ...] = ()
    pressure: PressureSnapshot | None = None  # None from a machine that does not watch it
    certificate_ends_s: float | None = None  # wall time; None of the head's own machine, which needs none
