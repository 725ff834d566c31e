"""Runs and their figures: by fleet, workload, policy and seed, on as many processes as there are cores."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from bench.routing.figures import Figures, figures
from bench.routing.fleet import Fleet
from bench.routing.load import Workload
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Belief, Potluck
from bench.routing.rivals import POLICIES, POTLUCK
from bench.routing.simulate import Policy, Simulation
from bench.routing.traces import KNOWN, known_trace, read_trace
from bench.routing.warming import WarmedSimulation, WarmPotluck
from bench.routing.workloads import NAMES, synthetic


@dataclass(frozen=True, slots=True)
class Source:
    """Where a workload comes from: a synthetic one or a known trace by name, or a file."""

    name: str
    data: Path | None = None
    file: Path | None = None
    stretch: float = 1.0
    scale: float = 1.0  # of arrivals, for a synthetic one

    def workload(self, seed: int) -> Workload:
        if self.file is not None:
            return read_trace(self.file, seed, self.stretch)
        if self.name in NAMES:
            return synthetic(self.name, seed, self.scale)
        assert self.data is not None
        return known_trace(next(known for known in KNOWN if known.name == self.name), self.data, seed)


@dataclass(frozen=True, slots=True)
class Experiment:
    fleet: Fleet
    source: Source
    policy: str
    seed: int
    scrape_s: float = 0.0
    belief: Belief | None = None
    skip: int = 0  # at least so many requests are not counted
    warming: bool = False  # idle machines read ahead; of potluck only
    label: str = field(default="")

    def run(self) -> Figures:
        simulation = self._simulation()
        run = simulation.run()
        predicted = simulation.policy.predicted if isinstance(simulation.policy, Potluck) else {}
        return figures(run, self.skip, predicted)

    def _simulation(self) -> Simulation:
        workload = self.source.workload(self.seed)
        if self.warming:
            return WarmedSimulation(workload, self.fleet, lambda engines: WarmPotluck(engines, self.belief))
        return Simulation(workload, self.fleet, self._policy)

    def _policy(self, engines: list[Engine]) -> Policy:
        if self.policy == POTLUCK:
            return Potluck(engines, self.belief)
        return POLICIES[self.policy](engines, self.seed, self.scrape_s)


def run_all(experiments: Iterable[Experiment], processes: int, told: Callable[[], None]) -> dict[Experiment, Figures]:
    """Each one's figures. `told` is called as each is done."""
    todo = list(experiments)
    found: dict[Experiment, Figures] = {}
    if processes <= 1:
        for experiment in todo:
            found[experiment] = experiment.run()
            told()
        return found
    with get_context("spawn").Pool(processes) as pool:
        for experiment, result in zip(todo, pool.imap(Experiment.run, todo, chunksize=4), strict=True):
            found[experiment] = result
            told()
    return found


def cores() -> int:
    return os.cpu_count() or 1
