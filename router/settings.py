"""What the gateway is told when it starts."""

from dataclasses import dataclass

from inventory.paths import StatePaths

BODY_LIMIT_BYTES = 10_000_000
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Port 0 is any free one. Durations are seconds."""

    paths: StatePaths
    host: str = "127.0.0.1"
    port: int = 0
    drain_s: float = 30.0
    connect_s: float = 1.0
    first_byte_s: float = 600.0
    stall_s: float = 60.0
    slow_reader_s: float = 30.0
    total_s: float = 1800.0  # a request from arrival to the last byte
    header_s: float = 10.0
    keep_alive_s: float = 75.0
    body_limit_bytes: int = BODY_LIMIT_BYTES
    answer_limit_bytes: int = ANSWER_LIMIT_BYTES  # of one that is not streamed
    sweep_s: float = 0.25
