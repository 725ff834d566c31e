"""What the gateway is told when it starts."""

from dataclasses import dataclass, field
from pathlib import Path

from inventory.paths import StatePaths
from router.waiting_caps import WaitingCaps

BODY_LIMIT_BYTES = 10_000_000
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LanDoor:
    """The endpoint on a network. Without a certificate of the operator's it shows the cluster's own."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where traces of requests go, and how often."""

    endpoint: str
    authorities: Path | None = None
    every_s: float = 2.0


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Port 0 is any free one. Durations are seconds."""

    paths: StatePaths
    host: str = "127.0.0.1"
    port: int = 0
    drain_s: float = 30.0
    connect_s: float = 1.0
    first_byte_s: float = 600.0  # the longest silence of one answer, whatever else its engine does
    first_token_s: float = 30.0  # silence before the first token; MLX compiles kernels for 12 s at its first request
    stall_s: float = 12.0  # silence in mid-answer. Both are longer while the engine reads long prompts: router.pulse
    slow_reader_s: float = 30.0
    gone_s: float = 3.0  # silence of an engine whose machine the head calls lost: the head may be the one cut off
    total_s: float = 1800.0  # a request from arrival to the last byte
    wait_s: float = 60.0  # for a model that is not running, where the answer is not streamed and no deadline is named
    keepalive_s: float = 3.0  # between two comments for a streamed one
    reading_s: float = 9.0  # the same once an engine reads its prompt; the head then names this one, who mostly answers
    failed_patience_s: float = 5.0  # of those that wait: an engine that died while loading is started again soon
    waiting: WaitingCaps = field(default_factory=WaitingCaps)
    header_s: float = 10.0
    keep_alive_s: float = 75.0
    body_limit_bytes: int = BODY_LIMIT_BYTES
    answer_limit_bytes: int = ANSWER_LIMIT_BYTES  # of one that is not streamed
    sweep_s: float = 0.25
    lan: LanDoor | None = None
    traces: TraceSettings | None = None
    hosts: tuple[str, ...] = ()  # names that clients use for this gateway, beside those that every machine has
