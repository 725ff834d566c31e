"""What engines were predicted to need and what they took, and what follows for the next prediction. Pure.

An engine's peak says how much it needs only once its context was filled, so that a peak below the prediction proves
nothing; one above it does. Corrections go up, on the node, engine kind and version where it was seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cluster.fit_engines import EngineMemory
from inventory.catalog import ArtifactId, ModelName
from nodes.snapshot import EngineKind, NodeId


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One way to run one artifact on one node: the highest peak seen, and what was predicted for it."""

    node_id: NodeId
    kind: EngineKind
    version: str
    model: ModelName
    artifact_id: ArtifactId
    context_tokens: int
    slots: int
    predicted_bytes: int
    peak_bytes: int
    seen_s: float  # wall time

    @property
    def error(self) -> float:
        """Of the prediction, as a share of the peak: negative where it was too low."""
        return self.predicted_bytes / self.peak_bytes - 1 if self.peak_bytes else 0.0


def corrected(memory: EngineMemory, node_id: NodeId, version: str, entries: Iterable[LedgerEntry]) -> EngineMemory:
    """With the largest shortfall that was seen on this node with this version on top of the runtime."""
    mine = [one for one in entries if (one.node_id, one.kind, one.version) == (node_id, memory.kind, version)]
    short = max((one.peak_bytes - one.predicted_bytes for one in mine), default=0)
    if short <= 0:
        return memory
    origin = f"{memory.origin}; {short / 2**20:.0f} MiB more were seen on {node_id}"
    return replace(memory, runtime_bytes=memory.runtime_bytes + short, origin=origin)


def merged(known: LedgerEntry | None, seen: LedgerEntry) -> LedgerEntry:
    """The higher peak stays, with the prediction that was made for it."""
    return seen if known is None or seen.peak_bytes > known.peak_bytes else known


def median_error(entries: Sequence[LedgerEntry]) -> float | None:
    errors = sorted(abs(one.error) for one in entries)
    if not errors:
        return None
    middle = len(errors) // 2
    return errors[middle] if len(errors) % 2 else (errors[middle - 1] + errors[middle]) / 2
