"""A node's membership as pure functions: reports, failures, silence and the operator's wish in, a state with why out.

Two questions, answered apart. Is it there? That is `NodeHealth`: joining, ready, suspect or lost, by what was heard and
when, on the monotonic clock. May it be used? That is the operator's duty for it. `membership` puts both into one word:
what is not there is called suspect or lost whatever the operator wants, and the reason names the duty.
"""

from dataclasses import dataclass, replace
from typing import Literal

from cluster.snapshot import NodeState
from cluster.wishes import Duty, NodeWish
from nodes.snapshot import NodeSnapshot

Health = Literal["joining", "ready", "suspect", "lost"]

FELL_SILENT = "it has fallen silent"
_ORDERED: dict[Duty, str] = {"serve": "", "cordon": "cordoned by the operator", "drain": "drained by the operator"}


@dataclass(frozen=True, slots=True)
class Moment:
    wall_s: float
    monotonic_s: float


@dataclass(frozen=True, slots=True)
class SilenceLimits:
    """How long a node may say nothing. The first leaves a healthy one time for a late answer; see `next_change_s`."""

    suspect_s: float = 2.5
    lost_s: float = 9.0


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """`since_s` is wall time, `heard_s` monotonic: when its last report arrived, None before the first."""

    state: Health
    reason: str
    since_s: float
    heard_s: float | None = None
    snapshot: NodeSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    state: NodeState
    reason: str
    since_s: float


def joining(now: Moment) -> NodeHealth:
    return NodeHealth("joining", "waiting for its first report", now.wall_s)


def observed(health: NodeHealth, snapshot: NodeSnapshot, now: Moment) -> NodeHealth:
    since_s = health.since_s if health.state == "ready" else now.wall_s
    return NodeHealth("ready", "", since_s, now.monotonic_s, snapshot)


def failed(health: NodeHealth, reason: str, now: Moment, limits: SilenceLimits = SilenceLimits()) -> NodeHealth:
    """An observation failed: suspect at once, lost once it has been silent for long. What never reported is joining."""
    if health.heard_s is None:
        return replace(health, reason=f"no report yet: {reason}")
    silent_s = now.monotonic_s - health.heard_s
    return _enter(health, "lost" if silent_s >= limits.lost_s else "suspect", reason, now)


def judged(health: NodeHealth, now: Moment, limits: SilenceLimits = SilenceLimits()) -> NodeHealth:
    """The same knowledge, later: silence alone makes a node suspect, then lost."""
    if health.heard_s is None:
        return health
    silent_s = now.monotonic_s - health.heard_s
    if silent_s >= limits.lost_s:
        return _enter(health, "lost", health.reason or FELL_SILENT, now)
    if silent_s >= limits.suspect_s and health.state == "ready":
        return _enter(health, "suspect", FELL_SILENT, now)
    return health


def next_change_s(health: NodeHealth, limits: SilenceLimits = SilenceLimits()) -> float | None:
    """The monotonic time at which silence alone will change this state; None where it never will."""
    if health.heard_s is None or health.state == "lost":
        return None
    return health.heard_s + (limits.suspect_s if health.state == "ready" else limits.lost_s)


def membership(health: NodeHealth, wish: NodeWish) -> Membership:
    """Health and duty in one word. An emptied node stays cordoned until the operator wants it back."""
    if health.state != "ready":
        reason = f"{health.reason}; {_ORDERED[wish.duty]}" if wish.duty != "serve" else health.reason
        return Membership(health.state, reason, health.since_s)
    if wish.duty == "serve":
        return Membership("ready", "", max(health.since_s, wish.since_s))
    since_s = max(health.since_s, wish.since_s)
    if wish.duty == "cordon":
        return Membership("cordoned", f"{_ORDERED['cordon']}; what runs goes on", since_s)
    left = sum(engine.state != "stopped" for engine in health.snapshot.engines) if health.snapshot else 0
    if left:
        engines = "1 engine" if left == 1 else f"{left} engines"
        return Membership("draining", f"{_ORDERED['drain']}; {engines} left", since_s)
    return Membership("cordoned", f"{_ORDERED['drain']}, and empty", since_s)


def _enter(health: NodeHealth, state: Health, reason: str, now: Moment) -> NodeHealth:
    since_s = health.since_s if health.state == state else now.wall_s
    return replace(health, state=state, reason=reason, since_s=since_s)
