"""What an operator wants of a machine as such: that it serves, takes nothing more, or is emptied; and its labels.

A wish holds until another replaces it. It is level-triggered: what to do about it is decided anew at each tick.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nodes.snapshot import NodeId

Duty = Literal["serve", "cordon", "drain"]


@dataclass(frozen=True, slots=True)
class NodeWish:
    """`since_s` is the wall time at which the duty was last changed."""

    node_id: NodeId
    duty: Duty = "serve"
    labels: tuple[tuple[str, str], ...] = ()  # sorted
    since_s: float = 0.0


def labelled(labels: tuple[tuple[str, str], ...], changes: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """The labels with these changes; None takes a label away."""
    merged = {**dict(labels), **changes}
    return tuple(sorted((name, value) for name, value in merged.items() if value is not None))
