"""How busy the gateway is: tokens, waits and rates of the requests that ended within the last minute.

Summed by the second for each model on each machine, so that a minute of many requests costs no more memory than its
seconds. Of times, the first few of each second stand for all of it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from router.accounting import RequestRecord
from router.call_report import NO_MODEL

WINDOW_S = 60
SAMPLES = 64  # of each second, model and machine

Pair = tuple[str, str]
"""A model and a machine; "" where no machine got the request."""


class Figures(msgspec.Struct, frozen=True):
    """Of one model, or one machine. Unknown is None."""

    in_flight: int
    requests_per_s: float
    input_tokens_per_s: float
    output_tokens_per_s: float
    waiting: int | None = None  # without an engine; of models only
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p95_s: float | None = None
    tpot_p99_s: float | None = None
    cached_ratio: float | None = None  # of prompt tokens, where engines tell


class Live(msgspec.Struct, frozen=True):
    in_flight: int
    waiting: int
    requests_per_s: float
    input_tokens_per_s: float
    output_tokens_per_s: float
    by_model: dict[str, Figures]
    by_node: dict[str, Figures]


class _Sums:
    __slots__ = ("cached", "first", "input", "input_told", "output", "requests", "steps")

    def __init__(self) -> None:
        self.requests = self.input = self.output = self.cached = self.input_told = 0
        self.first: list[float] = []
        self.steps: list[float] = []

    def take(self, record: RequestRecord) -> None:
        self.requests += 1
        self.input += record.input_tokens or 0
        self.output += record.output_tokens or 0
        if record.cached_tokens is not None and record.input_tokens:
            self.cached += record.cached_tokens
            self.input_told += record.input_tokens
        first_s = record.first_byte_s
        if record.stream and record.outcome == "ok" and first_s is not None and len(self.first) < SAMPLES:
            self.first.append(first_s)
            if record.output_tokens is not None and record.output_tokens > 1:
                self.steps.append((record.duration_s - first_s) / (record.output_tokens - 1))

    def add(self, other: "_Sums") -> None:
        self.requests += other.requests
        self.input += other.input
        self.output += other.output
        self.cached += other.cached
        self.input_told += other.input_told
        self.first += other.first
        self.steps += other.steps


class LastMinute:
    """Written as requests end. Time is an argument: seconds that never go back."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._seconds: deque[tuple[int, dict[Pair, _Sums]]] = deque()

    def take(self, records: Iterable[RequestRecord], now_s: float) -> None:
        second = int(now_s)
        self._forget(second)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, {}))
        pairs = self._seconds[-1][1]
        for record in records:
            if record.model == NO_MODEL:  # refused before it was known what it asked for
                continue
            pair = (record.model, record.node_id or "")
            sums = pairs.get(pair)
            if sums is None:
                sums = pairs[pair] = _Sums()
            sums.take(record)

    def figures(self, now_s: float, in_flight: Mapping[Pair, int], waiting: Mapping[str, int]) -> Live:
        """`in_flight` by model and machine, `waiting` by model."""
        self._forget(int(now_s))
        over_s = max(1.0, min(float(WINDOW_S), now_s - self._start_s))
        whole, models, nodes = _Sums(), dict[str, _Sums](), dict[str, _Sums]()
        for _, pairs in self._seconds:
            for (model, node), sums in pairs.items():
                whole.add(sums)
                models.setdefault(model, _Sums()).add(sums)
                if node:
                    nodes.setdefault(node, _Sums()).add(sums)
        running_models, running_nodes = _by(in_flight, 0), _by(in_flight, 1)
        return Live(
            in_flight=sum(in_flight.values()),
            waiting=sum(waiting.values()),
            requests_per_s=_rate(whole.requests, over_s),
            input_tokens_per_s=_rate(whole.input, over_s),
            output_tokens_per_s=_rate(whole.output, over_s),
            by_model={
                name: _figures(models.get(name, _Sums()), over_s, running_models.get(name, 0), waiting.get(name, 0))
                for name in sorted({*models, *running_models, *waiting})
            },
            by_node={
                name: _figures(nodes.get(name, _Sums()), over_s, running_nodes.get(name, 0), None)
                for name in sorted({*nodes, *running_nodes})
            },
        )

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW_S:
            self._seconds.popleft()


def _figures(sums: _Sums, over_s: float, in_flight: int, waiting: int | None) -> Figures:
    first, steps = sorted(sums.first), sorted(sums.steps)
    return Figures(
        in_flight=in_flight,
        waiting=waiting,
        requests_per_s=_rate(sums.requests, over_s),
        input_tokens_per_s=_rate(sums.input, over_s),
        output_tokens_per_s=_rate(sums.output, over_s),
        ttft_p50_s=_share(first, 0.5),
        ttft_p95_s=_share(first, 0.95),
        ttft_p99_s=_share(first, 0.99),
        tpot_p50_s=_share(steps, 0.5),
        tpot_p95_s=_share(steps, 0.95),
        tpot_p99_s=_share(steps, 0.99),
        cached_ratio=round(sums.cached / sums.input_told, 4) if sums.input_told else None,
    )


def _share(ordered: Sequence[float], share: float) -> float | None:
    """The value that so large a share does not exceed."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 6)


def _rate(count: int, over_s: float) -> float:
    return round(count / over_s, 3)


def _by(counts: Mapping[Pair, int], place: int) -> dict[str, int]:
    summed: dict[str, int] = {}
    for pair, count in counts.items():
        if pair[place]:
            summed[pair[place]] = summed.get(pair[place], 0) + count
    return summed
