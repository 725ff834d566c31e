"""From samples to the table and the RESULT line. Ratios are taken within a round, then the median over rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.relay.key_check import KeyCheck
from bench.relay.peers import DIRECT, GATEWAY, NGINX, RUST, TWO_HOPS
from bench.relay.scenarios import (
    LATENCY,
    PACED_64,
    PACED_FIRST_MS,
    PACED_GAP_MS,
    REQUESTS_16,
    REQUESTS_64,
    SATURATED_64,
    STREAM_TOKENS,
    TRANSLATED,
    Sample,
    in_dialect,
)

Figure = Callable[[Sample], float | None]


def requests_per_s(sample: Sample) -> float:
    return sample.load.requests / sample.load.seconds


def tokens_per_s(sample: Sample) -> float:
    return sample.load.tokens / sample.load.seconds


def cpu_per_1k_requests(sample: Sample) -> float | None:
    return None if sample.cpu_s is None else sample.cpu_s / sample.load.requests * 1e3


def cpu_per_mtok(sample: Sample) -> float | None:
    return None if sample.cpu_s is None else sample.cpu_s / sample.load.tokens * 1e6


def first_p50_ms(sample: Sample) -> float:
    return sample.load.first_p50_ms


def first_p99_ms(sample: Sample) -> float:
    return sample.load.first_p99_ms


def whole_p50_ms(sample: Sample) -> float:
    return sample.load.whole_p50_ms


def pace_kept(sample: Sample) -> float:
    """1.0 if a stream takes no longer than the engine's own pace."""
    return (PACED_FIRST_MS + PACED_GAP_MS * (STREAM_TOKENS - 1)) / sample.load.whole_p50_ms


def rss_mb(sample: Sample) -> float | None:
    return None if sample.rss_bytes is None else sample.rss_bytes / 1e6


class Samples:
    """All samples of a run, and the medians taken from them. A figure that no round has is None."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._by_place = {(sample.round, sample.target, sample.scenario): sample for sample in samples}
        self._rounds = sorted({sample.round for sample in samples})

    def median(self, target: str, scenario: str, figure: Figure) -> float | None:
        return _median([self._figure(number, target, scenario, figure) for number in self._rounds])

    def ratio(self, target: str, other: str, scenario: str, figure: Figure) -> float | None:
        return self._compared(target, other, scenario, figure, lambda mine, theirs: mine / theirs if theirs else None)

    def beyond(self, target: str, other: str, scenario: str, figure: Figure) -> float | None:
        """What the target has more than the other, in units of the other."""
        return self._compared(
            target, other, scenario, figure, lambda mine, theirs: mine / theirs - 1 if theirs else None
        )

    def added(self, target: str, scenario: str, figure: Figure) -> float | None:
        """What the target adds to the direct way in the same round."""
        return self._compared(target, DIRECT, scenario, figure, lambda mine, direct: mine - direct)

    def _compared(
        self, target: str, other: str, scenario: str, figure: Figure, compare: Callable[[float, float], float | None]
    ) -> float | None:
        values: list[float | None] = []
        for number in self._rounds:
            mine = self._figure(number, target, scenario, figure)
            theirs = self._figure(number, other, scenario, figure)
            values.append(None if mine is None or theirs is None else compare(mine, theirs))
        return _median(values)

    def _figure(self, number: int, target: str, scenario: str, figure: Figure) -> float | None:
        sample = self._by_place.get((number, target, scenario))
        return None if sample is None else figure(sample)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    form: str
    value: Callable[[Samples, str], float | None]


COLUMNS = (
    Column("req/s at 16", ",.0f", lambda samples, name: samples.median(name, REQUESTS_16, requests_per_s)),
    Column("req/s at 64", ",.0f", lambda samples, name: samples.median(name, REQUESTS_64, requests_per_s)),
    Column("CPU s/1k req", ".3f", lambda samples, name: samples.median(name, REQUESTS_16, cpu_per_1k_requests)),
    Column("added p50 ms", ".2f", lambda samples, name: samples.added(name, LATENCY, whole_p50_ms)),
    Column("TTFT +p50 ms", ".2f", lambda samples, name: samples.added(name, PACED_64, first_p50_ms)),
    Column("TTFT +p99 ms", ".2f", lambda samples, name: samples.added(name, PACED_64, first_p99_ms)),
    Column("CPU s/Mtok", ".1f", lambda samples, name: samples.median(name, PACED_64, cpu_per_mtok)),
    Column("pace kept", ".0%", lambda samples, name: samples.median(name, PACED_64, pace_kept)),
    Column("satur. tok/s", ",.0f", lambda samples, name: samples.median(name, SATURATED_64, tokens_per_s)),
    Column("RSS MB", ".0f", lambda samples, name: samples.median(name, SATURATED_64, rss_mb)),
)


_DIALECT_COLUMNS: tuple[tuple[str, str, str, Figure], ...] = (
    ("req/s at 16", ",.0f", REQUESTS_16, requests_per_s),
    ("TTFT p50 ms", ".2f", PACED_64, first_p50_ms),
    ("CPU s/Mtok", ".1f", PACED_64, cpu_per_mtok),
    ("satur. tok/s", ",.0f", SATURATED_64, tokens_per_s),
)


def table(samples: Samples, targets: Sequence[str]) -> str:
    """One row a target. Paced: 64 streams of 100 tokens, the first after 20 ms, then one each 10 ms."""
    rows = [("", *(column.title for column in COLUMNS))]
    rows += [(name, *(_text(column.value(samples, name), column.form) for column in COLUMNS)) for name in targets]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def dialect_table(samples: Samples) -> str:
    """The gateway alone: what it costs to retell an answer in another dialect, beside passing it on."""
    rows = [("gateway, by dialect", *(title for title, *_ in _DIALECT_COLUMNS), "CPU/tok vs chat")]
    passed_on = samples.median(GATEWAY, PACED_64, cpu_per_mtok)
    for dialect in ("chat", *TRANSLATED):
        cells = [
            _text(samples.median(GATEWAY, in_dialect(scenario, dialect), figure), form)
            for _, form, scenario, figure in _DIALECT_COLUMNS
        ]
        cost = samples.median(GATEWAY, in_dialect(PACED_64, dialect), cpu_per_mtok)
        rows.append((dialect, *cells, _text(cost / passed_on if cost and passed_on else None, ".2f")))
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    figures = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join((row[0].ljust(widths[0]), *figures))


def result_line(samples: Samples, check: KeyCheck) -> str:
    """Requests/s at the number of connections where the gateway does worse, so that neither can hide the other."""
    rps = [samples.ratio(GATEWAY, RUST, scenario, requests_per_s) for scenario in (REQUESTS_16, REQUESTS_64)]
    figures = {
        "rps_vs_rust": min((ratio for ratio in rps if ratio is not None), default=None),
        "tok_vs_rust": samples.ratio(GATEWAY, RUST, SATURATED_64, tokens_per_s),
        "cpu_per_mtok_vs_rust": samples.ratio(GATEWAY, RUST, PACED_64, cpu_per_mtok),
        "cpu_per_mtok_vs_nginx": samples.ratio(GATEWAY, NGINX, PACED_64, cpu_per_mtok),
        "hop_cpu_vs_gateway": samples.beyond(TWO_HOPS, GATEWAY, PACED_64, cpu_per_mtok),
        "added_ttft_p50_ms": samples.added(GATEWAY, PACED_64, first_p50_ms),
        "key_check_us": check.limited_us,
    }
    return "RESULT relay " + " ".join(f"{name}={_text(value, '.2f', 'unknown')}" for name, value in figures.items())


def _text(value: float | None, form: str, unknown: str = "-") -> str:
    return unknown if value is None else format(value, form)
