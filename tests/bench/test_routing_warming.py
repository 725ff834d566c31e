"""Warming in the simulation: the same requests are all answered, and more of their prompts is found in caches."""

from bench.routing.experiment import Experiment, Source
from bench.routing.fleet import FLEETS
from bench.routing.rivals import POTLUCK
from bench.routing.simulate import Simulation
from bench.routing.warming import AHEAD, WarmedSimulation, WarmPotluck, lines
from bench.routing.workloads import synthetic


def test_idle_machines_read_ahead_and_no_request_is_lost_or_counted_twice() -> None:
    workload = synthetic("rag", 3, duration_s=900.0)
    run, warmed = (made(workload, FLEETS["f1"], WarmPotluck).run() for made in (Simulation, WarmedSimulation))

    assert len(run.jobs) == len(warmed.jobs) == len(workload.sessions)
    assert all(job.arrived_s < job.first_s <= job.ended_s for job in warmed.jobs)
    assert all(job.session.kind != AHEAD for job in warmed.jobs)
    assert sum(job.cached for job in warmed.jobs) > 1.2 * sum(job.cached for job in run.jobs)


def test_a_row_tells_what_changed() -> None:
    source = Source("rag", scale=0.1)
    off, on = (Experiment(FLEETS["h2"], source, POTLUCK, 3, warming=warming).run() for warming in (False, True))
    head, row = lines(["rag"], [[off]], [[on]])

    assert head == "warming: off -> on"
    assert row.startswith("  rag        p50 ")
