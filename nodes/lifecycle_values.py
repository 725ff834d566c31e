"""The words of one engine's life: its state, what can happen to it, and what is done about it."""

from dataclasses import dataclass, field

from nodes.snapshot import EngineState


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    start_deadline_s: float = 900.0  # 400 GB of weights from a slow disk
    drain_deadline_s: float = 120.0
    drain_quiet_s: float = 1.0  # so long after a drain began, gateways that have not heard of it yet may send
    stop_grace_s: float = 10.0  # SIGTERM to SIGKILL
    # A restart costs minutes where a gateway only sends requests elsewhere, so a node waits for longer: on a slow CPU
    # one batch of a prompt, during which no counter moves, may take most of a minute.
    stall_deadline_s: float = 60.0  # busy, worked before, and nothing moves
    first_progress_deadline_s: float = 120.0  # busy, and nothing has moved since it became so
    backoff_first_s: float = 1.0
    backoff_last_s: float = 60.0
    quarantine_deaths: int = 5
    quarantine_window_s: float = 600.0
    healthy_after_s: float = 300.0  # ready for so long: earlier deaths are forgiven
    port_attempts: int = 5


# --- events


@dataclass(frozen=True, slots=True)
class Ensure:
    """It should run. `changed`: what runs, or ran, has other settings than those wanted."""

    changed: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish what it has, then stop."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop without waiting for its requests."""


@dataclass(frozen=True, slots=True)
class Shed:
    """Leave for want of memory: at once, or after its requests. It stays wanted, and waits to be resumed."""

    why: str
    at_once: bool


@dataclass(frozen=True, slots=True)
class Resume:
    """There is memory for it again."""


@dataclass(frozen=True, slots=True)
class Probed:
    generation: int
    started: bool
    ready: bool
    measured_s: float | None = None  # since it was ready to be measured; None where it is not


@dataclass(frozen=True, slots=True)
class Observed:
    """What the engine said about its work. `answered` is False when it said nothing at all."""

    generation: int
    answered: bool
    running: int | None = None
    progress: int | None = None  # any figure that only grows while it works


@dataclass(frozen=True, slots=True)
class Exited:
    """The process is gone, or could not be started."""

    generation: int
    how: str
    port_taken: bool = False
    no_room: bool = False  # it was not started, for want of memory


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; see `next_wake_s`."""


Event = Ensure | Drain | Stop | Shed | Resume | Probed | Observed | Exited | Tick


# --- effects


@dataclass(frozen=True, slots=True)
class Spawn:
    generation: int


@dataclass(frozen=True, slots=True)
class Terminate:
    generation: int


@dataclass(frozen=True, slots=True)
class Kill:
    generation: int


@dataclass(frozen=True, slots=True)
class Reap:
    """The process is gone: end what is left of its group, forget its lease and secret."""

    generation: int


Effect = Spawn | Terminate | Kill | Reap


# --- state


@dataclass(frozen=True, slots=True)
class Activity:
    """Is it getting on? `moved_s` is None until something moves in this busy spell."""

    busy_since_s: float | None = None
    moved_s: float | None = None
    progress: int | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    phase: EngineState = "stopped"
    reason: str = "never started"
    since_s: float = 0.0
    deadline_s: float | None = None  # of this phase; None where it may last for ever
    generation: int = 0
    alive: bool = False  # a process of this generation may exist
    wanted: bool = False  # once it is gone, start again
    failed: bool = False  # it is being stopped because of a fault of its own
    no_memory: str = ""  # why it has to leave, or waits, for want of memory
    adopted: bool = False
    spawned_s: float | None = None
    ready_s: float | None = None
    ready_after_s: float | None = None
    deaths: tuple[float, ...] = ()
    failures: int = 0  # in a row; sets the back-off
    port_attempts: int = 0
    activity: Activity = field(default_factory=Activity)

    @property
    def waits_for_memory(self) -> bool:
        return self.phase == "backoff" and bool(self.no_memory)
