"""What a run was like for those who waited. Its first tenth is left out: machines begin empty."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from bench.routing.load import Job
from bench.routing.simulate import Run

WARM_UP = 0.1
LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Figures:
    p50_s: float  # until the first token
    p95_s: float
    p99_s: float
    e2e_s: float  # mean, until the last
    goodput: float  # share of requests answered in time
    hit: float  # share of prompt tokens that an engine had in its cache
    busy: tuple[tuple[str, float], ...]  # share of the time, by machine
    error: float | None = None  # of the predicted first token: the median, against what was observed
    requests: int = 0
    refused: int = 0  # that no engine can hold


Figure = Callable[[Figures], float]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def figures(run: Run, skip: int = 0, predicted: Mapping[Job, float] | None = None) -> Figures:
    jobs = run.jobs[max(int(len(run.jobs) * WARM_UP), skip) :]
    waits = [job.ttft_s for job in jobs]
    errors = [abs(predicted[job] - job.ttft_s) / job.ttft_s for job in jobs if job in predicted] if predicted else []
    return Figures(
        p50_s=percentile(waits, 0.50),
        p95_s=percentile(waits, 0.95),
        p99_s=percentile(waits, 0.99),
        e2e_s=mean([job.e2e_s for job in jobs]),
        goodput=mean([float(job.in_time) for job in jobs]),
        hit=sum(job.cached for job in jobs) / max(sum(job.prompt for job in jobs), 1),
        busy=tuple(run.busy.items()),
        error=percentile(errors, 0.50) if errors else None,
        requests=len(jobs),
        refused=run.refused,
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def geometric_mean(values: Sequence[float]) -> float:
    return exp(sum(log(max(value, 1e-9)) for value in values) / len(values)) if values else 0.0


def ratio(ours: Sequence[Figures], theirs: Sequence[Figures], figure: Figure) -> float:
    """Seed by seed on the same requests, then the geometric mean: no seed outweighs another."""
    return geometric_mean(
        [max(figure(one), LEAST_S) / max(figure(other), LEAST_S) for one, other in zip(ours, theirs, strict=True)]
    )
