"""Decisions as they would be recorded: written, read again and decided anew, they must have the same winner."""

import msgspec

from bench.routing.fleet import FLEETS
from bench.routing.load import Job
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Potluck
from bench.routing.simulate import Simulation
from bench.routing.workloads import synthetic
from router.cost import Prospect
from router.decision import Decision

DECISIONS = 10_000


class Recorder(Potluck):
    """Writes down what each decision saw, and who won."""

    def __init__(self, engines: list[Engine]) -> None:
        super().__init__(engines)
        self.records: list[tuple[Job, list[Engine], bytes, str]] = []

    def decision(self, job: Job, engines: list[Engine], now_s: float) -> Decision:
        decision = super().decision(job, engines, now_s)
        if decision.ranked:
            seen = msgspec.json.encode(self.prospect(job, engines, now_s))
            self.records.append((job, engines, seen, decision.ranked[0].engine_id))
        return decision


def replayed(seed: int = 1) -> tuple[int, int, float]:
    """How many were recorded, how many have the same winner again, and bytes of the largest part of a record."""
    records: list[tuple[Job, list[Engine], bytes, str]] = []
    anew: Potluck | None = None
    while len(records) < DECISIONS:
        simulation = Simulation(synthetic("mixed", seed, 2.0), FLEETS["f1"], Recorder)
        simulation.run()
        assert isinstance(simulation.policy, Recorder)
        anew = anew or Potluck(simulation.engines)
        records += simulation.policy.records
        seed += 1
    del records[DECISIONS:]
    assert anew is not None
    same = sum(_winner(anew, record) == record[3] for record in records)
    return len(records), same, max(len(seen) for _, _, seen, _ in records)


def _winner(router: Potluck, record: tuple[Job, list[Engine], bytes, str]) -> str:
    job, engines, seen, _ = record
    prospect = msgspec.json.decode(seen, type=Prospect)
    return router.decided(job, engines, prospect).ranked[0].engine_id


def lines() -> list[str]:
    count, same, size = replayed()
    return [f"{count:,} recorded decisions decided anew: {same:,} with the same winner; {size:,.0f} bytes at most"]
