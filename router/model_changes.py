"""How often models come and go, as the snapshots of the cluster show it, for /metrics: since this gateway started.

What ran before the first snapshot is no news. A start is counted when the engine tells how long it took; a departure
when an engine that served leaves, by how its model stands then: `asleep` (nobody asked), `yielding` or `unplaced`
(another has its place), `unloaded` (an operator said so), `ready` (others of its engines serve on).
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.snapshot import ClusterSnapshot, NodeView
from nodes.snapshot import EngineSnapshot
from router.dashboard.happenings import engines_of
from router.metrics import Histogram

LOAD_S = (1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1200)
LEAVING = frozenset({"draining", "stopping", "stopped"})

_Place = tuple[str, str]
"""A model and a machine."""
_Engines = Mapping[str, tuple[NodeView, EngineSnapshot]]
"""By id, each with its machine."""


class ModelChanges(Collector):
    def __init__(self) -> None:
        self._before: _Engines | None = None
        self._loads: dict[_Place, Histogram] = {}
        self._departures: Counter[tuple[str, str, str]] = Counter()

    def follow(self, snapshot: ClusterSnapshot) -> None:
        now = engines_of(snapshot)
        if self._before is not None:
            self._count_loads(self._before, now)
            self._count_departures(self._before, now, snapshot)
        self._before = now

    def _count_loads(self, before: _Engines, now: _Engines) -> None:
        for engine_id, (node, engine) in now.items():
            _, old = before.get(engine_id, (node, None))
            known = old is not None and old.generation == engine.generation and old.ready_after_s is not None
            if engine.ready_after_s is not None and not known:
                place = engine.model.name, node.node_id
                self._loads.setdefault(place, Histogram(LOAD_S)).observe(engine.ready_after_s)

    def _count_departures(self, before: _Engines, now: _Engines, snapshot: ClusterSnapshot) -> None:
        states = {model.name: "unloaded" if model.away else model.state for model in snapshot.models}
        told = {node.node_id for node in snapshot.nodes if node.snapshot is not None}
        for engine_id, (node, old) in before.items():
            _, engine = now.get(engine_id, (node, None))
            gone = engine is None and node.node_id in told  # a machine that is gone says nothing of its engines
            if old.state == "ready" and (gone or (engine is not None and engine.state in LEAVING)):
                self._departures[old.model.name, node.node_id, states.get(old.model.name, "removed")] += 1

    def collect(self) -> Iterable[Metric]:
        loads = HistogramMetricFamily("potluck_model_load_seconds", "From process to ready.", labels=("model", "node"))
        for place, histogram in self._loads.items():
            loads.add_metric(list(place), *histogram.export())
        yield loads
        labels = ("model", "node", "then")
        departures = CounterMetricFamily("potluck_model_evictions", "Engines that had to leave.", labels=labels)
        for key, count in self._departures.items():
            departures.add_metric(list(key), count)
        yield departures
