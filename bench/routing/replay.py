"""Decisions as the gateway records them: packed, read again and decided anew, they must have the same winner."""

from bench.routing.fleet import FLEETS
from bench.routing.load import Job
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Potluck
from bench.routing.simulate import Simulation
from bench.routing.workloads import synthetic
from router.decision import Decision
from router.decision_record import DecisionNote, decoded, encoded, record_of
from router.replay import replay_all

DECISIONS = 10_000


class Recorder(Potluck):
    """Writes down each decision that chose an engine."""

    def __init__(self, engines: list[Engine]) -> None:
        super().__init__(engines)
        self.records: list[bytes] = []

    def decision(self, job: Job, engines: list[Engine], now_s: float) -> Decision:
        decision = super().decision(job, engines, now_s)
        if decision.ranked:
            note = DecisionNote(f"req_{len(self.records):032x}", now_s, job.model, decision)
            self.records.append(encoded(record_of(note)))
        return decision


def replayed(seed: int = 1) -> tuple[int, int, float]:
    """How many were recorded, how many are the same again to the last term, and bytes of the largest record."""
    records: list[bytes] = []
    while len(records) < DECISIONS:
        simulation = Simulation(synthetic("mixed", seed, 2.0), FLEETS["f1"], Recorder)
        simulation.run()
        assert isinstance(simulation.policy, Recorder)
        records += simulation.policy.records
        seed += 1
    del records[DECISIONS:]
    found = replay_all(map(decoded, records))
    return found.decisions, found.decisions - len(found.different), max(map(len, records))


def lines() -> list[str]:
    count, same, size = replayed()
    return [f"{count:,} recorded decisions decided anew: {same:,} the same to the last term; {size:,.0f} bytes at most"]
