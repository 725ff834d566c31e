"""How far predictions of the time to a first token were off, by machine."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from nodes.snapshot import NodeId


class Sample(NamedTuple):
    """One request, in seconds; both are more than 0."""

    node_id: NodeId
    predicted_s: float
    observed_s: float


class Accuracy(NamedTuple):
    """Errors are shares of what was observed."""

    node_id: NodeId
    requests: int
    median_ratio: float  # observed over predicted: above 1 it took longer
    median_error: float
    p90_error: float


def accuracies(samples: Iterable[Sample]) -> list[Accuracy]:
    """By node."""
    by_node: defaultdict[NodeId, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_node[sample.node_id].append(sample)
    return [_of(node_id, found) for node_id, found in sorted(by_node.items())]


def _of(node_id: NodeId, samples: list[Sample]) -> Accuracy:
    errors = sorted(abs(one.predicted_s - one.observed_s) / one.observed_s for one in samples)
    ninth = errors[min(int(0.9 * len(errors)), len(errors) - 1)]
    return Accuracy(
        node_id, len(samples), median(one.observed_s / one.predicted_s for one in samples), median(errors), ninth
    )
