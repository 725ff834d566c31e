"""The simulated machine: what takes how long, and that nobody is lost in it."""

import msgspec

from bench.routing.fleet import FLEETS, EngineSpec, Fleet, NodeSpec
from bench.routing.load import Session, Turn, Workload
from bench.routing.policies import Least, RoundRobin
from bench.routing.simulate import Policy, Run, Simulation
from bench.routing.workloads import NAMES, synthetic

# A thousand prompt tokens a second, ten steps a second, nothing for company.
PLAIN = EngineSpec("30b", 1000.0, 1e12, 0.1, 0.0, 0.0, slots=2, cache_tokens=10_000, context_tokens=10_000,
                   chunk_tokens=1000)  # fmt: skip
ALONE = Fleet("alone", (NodeSpec("one", (PLAIN,), round_trip_s=0.0),))


def session(start_s: float, prompt: int, output: int, chain: tuple[int, ...] = ()) -> Session:
    return Session(start_s, "30b", "test", (Turn(prompt, output, chain, chain),))


def served(*sessions: Session, policy: Policy | None = None, fleet: Fleet = ALONE) -> Run:
    chosen = policy or RoundRobin()
    return Simulation(Workload("test", sessions, 100), fleet, lambda engines: chosen).run()


def test_a_prompt_is_read_and_then_an_answer_written() -> None:
    (job,) = served(session(1.0, 500, 11)).jobs

    assert abs(job.ttft_s - 0.5) < 1e-6
    assert abs(job.e2e_s - 1.5) < 1e-6


def test_a_second_prompt_is_read_after_the_first_and_beside_its_answer() -> None:
    first, second = served(session(0.0, 1000, 100), session(0.5, 1000, 2)).jobs

    assert abs(first.ttft_s - 1.0) < 1e-6
    assert abs(second.first_s - 2.1) < 1e-6  # a chunk of a second and a step of a tenth


def test_who_finds_no_slot_waits_for_one() -> None:
    jobs = served(*(session(0.0, 100, 51) for _ in range(3))).jobs

    assert jobs[2].ttft_s > min(job.ended_s for job in jobs[:2])


def test_what_is_cached_is_not_read_again_and_the_least_recent_goes() -> None:
    chain, others = tuple(range(9)), tuple(range(100, 195))
    known, again, large, later = served(
        session(0.0, 950, 2, chain), session(10.0, 950, 2, chain), session(20.0, 9600, 2, others),
        session(60.0, 950, 2, chain),
    ).jobs  # fmt: skip

    assert (known.cached, again.cached, large.cached) == (0, 900, 0)
    assert later.cached < 900


def test_a_prompt_takes_what_any_prompt_takes_there_however_much_of_it_is_cached() -> None:
    floored = msgspec.structs.replace(PLAIN, least_prompt_s=0.3)
    fleet = Fleet("floored", (NodeSpec("one", (floored,), round_trip_s=0.0),))
    chain = tuple(range(9))
    known, again = served(session(0.0, 950, 2, chain), session(10.0, 950, 2, chain), fleet=fleet).jobs

    assert (round(known.ttft_s, 6), round(again.ttft_s, 6)) == (0.95, 0.3)


def test_what_fits_no_engine_is_counted_as_refused() -> None:
    run = served(session(0.0, 9999, 100), session(1.0, 10, 2))

    assert (run.refused, len(run.jobs)) == (1, 1)


def test_every_request_is_answered_and_the_same_seed_gives_the_same_run() -> None:
    for name in NAMES:
        workload = synthetic(name, 3, duration_s=300.0)
        runs = [
            Simulation(workload, FLEETS["f1"], lambda _: Least(lambda job, engine, now_s: len(engine.in_flight))).run()
            for _ in range(2)
        ]

        assert len(runs[0].jobs) == sum(len(session.turns) for session in workload.sessions)
        assert all(job.arrived_s < job.first_s <= job.ended_s for job in runs[0].jobs)
        assert [job.ended_s for job in runs[0].jobs] == [job.ended_s for job in runs[1].jobs]
