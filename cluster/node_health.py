"""Whether a node can be trusted with orders: observations and failures in, a state with reason and since out."""

from dataclasses import dataclass, replace
from typing import Literal

from nodes.snapshot import NodeSnapshot

LOST_AFTER_S = 15.0

Health = Literal["joining", "ready", "suspect", "lost"]


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """`since_s` is wall time. `failing_since_s` is monotonic, None while the last observation succeeded."""

    state: Health
    reason: str
    since_s: float
    failing_since_s: float | None = None
    snapshot: NodeSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    wall_s: float
    monotonic_s: float


def joining(now: Moment) -> NodeHealth:
    return NodeHealth("joining", "waiting for its first report", now.wall_s)


def observed(health: NodeHealth, snapshot: NodeSnapshot, now: Moment) -> NodeHealth:
    since_s = health.since_s if health.state == "ready" else now.wall_s
    return NodeHealth("ready", "", since_s, None, snapshot)


def failed(health: NodeHealth, reason: str, now: Moment, lost_after_s: float = LOST_AFTER_S) -> NodeHealth:
    """Suspect at once, lost after a while. A node that never reported goes on joining, with the reason."""
    if health.state == "joining":
        return replace(health, reason=f"no report yet: {reason}")
    failing_since_s = health.failing_since_s if health.failing_since_s is not None else now.monotonic_s
    silent_s = now.monotonic_s - failing_since_s
    state: Health = "lost" if silent_s >= lost_after_s else "suspect"
    since_s = health.since_s if health.state == state else now.wall_s
    return NodeHealth(state, reason, since_s, failing_since_s, health.snapshot)
