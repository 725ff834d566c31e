"""How people's documents stand and how they are searched, for /metrics. Numbers alone: no space, no name, no words."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.knowledge import Counts
from router.metrics import Histogram

SEARCH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Searched = Literal["found", "nothing", "refused", "failed"]
"""refused: the reader may not read what he named, or it is not there, which are told as one."""


class DocumentMetrics(Collector):
    def __init__(self) -> None:
        self.files: Counts | None = None  # of all spaces; None until they were counted
        self._searches: defaultdict[Searched, int] = defaultdict(int)
        self._seconds = Histogram(SEARCH_S)

    def searched(self, how: Searched, seconds: float) -> None:
        self._searches[how] += 1
        self._seconds.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        files = GaugeMetricFamily("potluck_document_files", "In all spaces, by how they stand.", labels=("status",))
        for status in Counts.__struct_fields__ if self.files is not None else ():
            files.add_metric((status,), getattr(self.files, status))
        searches = CounterMetricFamily("potluck_document_searches", "In documents.", labels=("outcome",))
        for how, count in self._searches.items():
            searches.add_metric((how,), count)
        seconds = HistogramMetricFamily("potluck_document_search_seconds", "With its question's vector.", labels=())
        seconds.add_metric((), *self._seconds.export())
        return files, searches, seconds
