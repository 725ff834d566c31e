"""Every Prometheus metric of the gateway, declared once. Plain counts on the hot path, families when scraped.

prometheus_client's own counters take a lock and a label look-up each; ten of them would cost a request more than its
relay. One cell per (api, model, node) costs one dictionary look-up.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from router.accounting import RequestRecord

LabelValues = TypeVar("LabelValues", bound=tuple[str, ...])

DURATION_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
FIRST_TOKEN_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
PER_TOKEN_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
DECISION_S = (0.00001, 0.00002, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01)
TOKENS = ("input", "input_cached", "output", "reasoning")


class Histogram:
    """Counts per bucket and a sum; cumulative only when read."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def export(self) -> tuple[list[tuple[str, float]], float]:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
        return buckets, self._sum


class _Cell:
    """What is counted for one (api, model, node)."""

    __slots__ = (
        "duration", "first_token", "input", "input_cached", "outcomes", "output", "per_token", "queued", "reasoning",
    )  # fmt: skip

    def __init__(self) -> None:
        self.duration = Histogram(DURATION_S)
        self.first_token = Histogram(FIRST_TOKEN_S)
        self.per_token = Histogram(PER_TOKEN_S)
        self.queued = Histogram(FIRST_TOKEN_S)
        self.outcomes: defaultdict[str, int] = defaultdict(int)
        self.input = self.input_cached = self.output = self.reasoning = 0  # tokens


class GatewayMetrics(Collector):
    """A record sink and a Prometheus collector. `gauges` is asked at scrape time."""

    def __init__(self, gauges: Callable[[], Iterable[Metric]]) -> None:
        self._gauges = gauges
        self._cells: dict[tuple[str, str, str], _Cell] = {}
        self._reasons: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._retries: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._aborts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._warm_ups: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._lines: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._limited: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._decision = Histogram(DECISION_S)
        self._waits: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATION_S))

    def record(self, records: Sequence[RequestRecord]) -> None:
        for record in records:
            self._count(record)

    def _count(self, record: RequestRecord) -> None:
        key = (record.api, record.model, record.node_id or "")
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell()
        if record.batch_id is None:
            cell.outcomes[record.outcome] += 1
            cell.duration.observe(record.duration_s)
            cell.queued.observe(record.queued_s)
        else:  # nobody waited for it, and it may have made way several times
            self._lines[record.model, record.node_id or "", record.error_code or record.outcome] += 1
        if record.outcome == "rate_limited":
            self._limited[record.group, record.error_code or ""] += 1
        if record.route_reason is not None:
            self._reasons[record.route_reason, record.node_id or ""] += 1
            self._decision.observe(record.decision_s)
        cell.input += record.input_tokens or 0
        cell.input_cached += record.cached_tokens or 0
        cell.reasoning += record.reasoning_tokens or 0
        output = record.output_tokens
        cell.output += output or 0
        if record.stream and record.first_byte_s is not None:
            cell.first_token.observe(record.first_byte_s)
            if output is not None and output > 1:
                cell.per_token.observe((record.duration_s - record.first_byte_s) / (output - 1))

    def retried(self, cause: str, node_id: str) -> None:
        self._retries[cause, node_id] += 1

    def stream_aborted(self, cause: str, node_id: str) -> None:
        self._aborts[cause, node_id] += 1

    def warmed(self, outcome: str, node_id: str) -> None:
        self._warm_ups[outcome, node_id] += 1

    def waited(self, model: str, seconds: float) -> None:
        """A request that found its model asleep or on its way goes on, or was given up."""
        self._waits[model].observe(seconds)

    def collect(self) -> Iterable[Metric]:
        flushed = list(self._gauges())  # first: it brings the counts up to date
        yield from self._requests()
        yield from self._histograms()
        yield from (
            _counter("potluck_route_decisions", "Decisions by reason.", ("reason", "node"), self._reasons),
            _counter("potluck_retries", "Requests sent to another engine.", ("cause", "node"), self._retries),
            _counter("potluck_warm_ups", "Pieces that idle machines read ahead.", ("outcome", "node"), self._warm_ups),
            _counter("potluck_batch_lines", "Lines of batches.", ("model", "node", "outcome"), self._lines),
            _counter("potluck_rate_limited", "Refused, for a limit or want of room.", ("group", "code"), self._limited),
            _counter("potluck_stream_aborts", "Streams ended by an error event.", ("cause", "node"), self._aborts),
        )
        yield from flushed

    def _requests(self) -> Iterable[Metric]:
        requests = {
            (*key, outcome): count for key, cell in self._cells.items() for outcome, count in cell.outcomes.items()
        }
        yield _counter("potluck_requests", "Finished requests.", ("api", "model", "node", "outcome"), requests)
        tokens: defaultdict[tuple[str, ...], int] = defaultdict(int)
        for (_, model, node), cell in self._cells.items():
            for kind in TOKENS:
                tokens[model, node, kind] += getattr(cell, kind)
        yield _counter("potluck_tokens", "Tokens as engines counted them.", ("model", "node", "kind"), tokens)

    def _histograms(self) -> Iterable[Metric]:
        labels = ("api", "model", "node")
        duration = HistogramMetricFamily("potluck_request_duration_seconds", "Arrival to end.", labels=labels)
        first = HistogramMetricFamily("potluck_time_to_first_token_seconds", "Arrival to first event.", labels=labels)
        pace = HistogramMetricFamily("potluck_time_per_output_token_seconds", "After the first.", labels=labels)
        queued = HistogramMetricFamily("potluck_queue_wait_seconds", "Without an engine.", labels=labels)
        families = (duration, first, pace, queued)
        for key, cell in self._cells.items():
            histograms = (cell.duration, cell.first_token, cell.per_token, cell.queued)
            for family, histogram in zip(families, histograms, strict=True):
                family.add_metric(list(key), *histogram.export())
        decision = HistogramMetricFamily("potluck_route_decision_seconds", "Time to decide.", labels=())
        decision.add_metric([], *self._decision.export())
        waits = HistogramMetricFamily("potluck_model_wait_seconds", "Wait for a model to start.", labels=("model",))
        for model, histogram in self._waits.items():
            waits.add_metric([model], *histogram.export())
        return *families, decision, waits


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[LabelValues, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counts.items():
        family.add_metric(list(key), count)
    return family
