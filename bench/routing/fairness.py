"""One user who sends bursts of long prompts beside three who chat: the same router with a queue in front of it, first
come first served or fair. Quiet users should not pay for the noisy one, and the noisy one not be starved. Requests are
held as the gateway holds them, or by slots alone.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from bench.routing.figures import geometric_mean, percentile
from bench.routing.fleet import FLEETS
from bench.routing.load import Job, Session, Workload
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Potluck
from bench.routing.simulate import Simulation
from bench.routing.workloads import BLOCK_TOKENS, Writer, starts
from router.decision import Decision
from router.fair_queue import FairQueue, service
from router.holding import hold_of
from router.scoring import full
from router.waiting import LOOKED_AT

NOISY, QUIET = "noisy", ("quiet-1", "quiet-2", "quiet-3")
DURATION_S = 3600.0
BURST_EVERY_S, BURST = 150.0, 30


def noisy_and_quiet(seed: int) -> Workload:
    writer = Writer(seed)
    sessions = [
        writer.chat(at_s, (("30b", 1.0),), user) for user in QUIET for at_s in starts(writer.random, 1 / 60, DURATION_S)
    ]
    for at_s in starts(writer.random, 1 / BURST_EVERY_S, DURATION_S):
        sessions += [_long(writer, at_s + writer.random.uniform(0, 5.0)) for _ in range(BURST)]
    return Workload("noisy", tuple(sorted(sessions, key=lambda one: one.start_s)), BLOCK_TOKENS)


def _long(writer: Writer, start_s: float) -> Session:
    """A document of 6 to 16 thousand tokens that nobody asked about before."""
    return writer.document(start_s, writer.random.randint(6_000, 16_000), NOISY)


class Held:
    """What both queues share: a request goes when the router finds it an engine where its turn is near."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        assert isinstance(simulation.policy, Potluck)
        self._router = simulation.policy

    def holds(self, decision: Decision) -> bool:
        return hold_of(decision) is not None

    def place(self, job: Job, now_s: float) -> Engine | None:
        engines = self._simulation.candidates(job)
        decision = self._router.decision(job, engines, now_s)
        if not decision.places or self.holds(decision):
            return None
        best = decision.places[0].engine_id
        return next(engine for engine in engines if engine.name == best)

    def first(self, jobs: Iterable[Job], now_s: float) -> tuple[Job, Engine] | None:
        for job in jobs:
            engine = self.place(job, now_s)
            if engine is not None:
                return job, engine
        return None


class FirstCome(Held):
    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._waiting: deque[Job] = deque()

    def push(self, job: Job, now_s: float) -> None:
        self._waiting.append(job)

    def pop(self, now_s: float) -> tuple[Job, Engine] | None:
        found = self.first(islice(self._waiting, LOOKED_AT), now_s)
        if found is not None:
            self._waiting.remove(found[0])
        return found

    def ended(self, job: Job) -> None:
        return


class Fair(Held):
    """The gateway's own queue."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._queue: FairQueue[Job] = FairQueue()
        self._expected: dict[Job, float] = {}

    def push(self, job: Job, now_s: float) -> None:
        self._queue.add(job, job.session.user)

    def pop(self, now_s: float) -> tuple[Job, Engine] | None:
        found = self.first(self._queue.in_order(LOOKED_AT), now_s)
        if found is not None:
            job = found[0]
            output = self._router.foresight.outputs.expected((job.model, job.session.kind))
            self._expected[job] = served = service(job.prompt, output)
            self._queue.take(job, served)
        return found

    def ended(self, job: Job) -> None:
        self._queue.charge(job.session.user, service(job.prompt, job.output) - self._expected.pop(job))


class FairBySlots(Fair):
    """The same order, where an engine gets as much as it has slots for."""

    def holds(self, decision: Decision) -> bool:
        return full(*decision.entrants[decision.places[0].at])


QUEUES: tuple[tuple[str, type[FirstCome] | type[Fair] | None], ...] = (
    ("no queue", None),
    ("first come", FirstCome),
    ("fair, by slots", FairBySlots),
    ("fair", Fair),
)


@dataclass(frozen=True, slots=True)
class Waits:
    quiet_s: tuple[float, float, float]  # p50, p95, p99
    noisy_s: tuple[float, float, float]


def waits(seed: int, make_queue: type[FirstCome] | type[Fair] | None) -> Waits:
    simulation = Simulation(noisy_and_quiet(seed), FLEETS["f1"], Potluck, make_queue)
    jobs = simulation.run().jobs
    quiet = [job.ttft_s for job in jobs if job.session.user in QUIET]
    noisy = [job.ttft_s for job in jobs if job.session.user == NOISY]
    return Waits(_three(quiet), _three(noisy))


def lines(seeds: Sequence[int]) -> list[str]:
    found = {name: [waits(seed, make) for seed in seeds] for name, make in QUEUES}
    rows = ["one noisy user beside three quiet ones, fleet f1: p50/p95/p99 s"]
    for name, runs in found.items():
        rows.append(f"  {name:<15}quiet {_means([run.quiet_s for run in runs])}   noisy "
                    f"{_means([run.noisy_s for run in runs])}")  # fmt: skip
    pairs = list(zip(found["fair"], found["first come"], strict=True))
    quiet = geometric_mean([fair.quiet_s[1] / first.quiet_s[1] for fair, first in pairs])
    noisy = geometric_mean([fair.noisy_s[1] / first.noisy_s[1] for fair, first in pairs])
    rows.append(f"  fair against first come, p95: quiet {quiet:.2f}, noisy {noisy:.2f}")
    return rows


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99)


def _means(runs: Sequence[tuple[float, float, float]]) -> str:
    return "/".join(f"{sum(run[index] for run in runs) / len(runs):.2f}" for index in range(3))
