"""What one decision costs the gateway: foresight and `decide`, for few engines and for many with much in flight."""

from random import Random
from statistics import median
from time import perf_counter

from bench.routing.fleet import FLEETS, Fleet, NodeSpec
from bench.routing.load import Job, Workload
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Potluck
from bench.routing.simulate import Simulation
from bench.routing.workloads import BLOCK_TOKENS, Writer

SIZES = ((1, 1), (3, 16), (8, 64))  # machines, requests in flight on each
DECISIONS = 2000


def decision_us(machines: int, in_flight: int, seed: int = 1) -> float:
    """The median of many, each for another agent's request of up to 60 thousand tokens."""
    spec = FLEETS["h2"].nodes[0]
    fleet = Fleet("many", tuple(NodeSpec(f"node-{number}", spec.engines) for number in range(machines)))
    engines = Simulation(Workload("none", (), BLOCK_TOKENS), fleet, Potluck).engines
    router, writer, random = Potluck(engines), Writer(seed), Random(seed)
    number = 0
    for engine in engines:
        for _ in range(in_flight):
            job = _job(writer, random, number)
            router.dispatched(job, engine, 0.0)
            if random.random() < 0.7:
                router.first_token(job, engine, 0.0)
            number += 1
    took = [_timed(router, engines, _job(writer, random, number + extra)) for extra in range(DECISIONS)]
    return median(took) * 1e6


def _timed(router: Potluck, engines: list[Engine], job: Job) -> float:
    began_s = perf_counter()
    router.decision(job, engines, 1.0)
    return perf_counter() - began_s


def _job(writer: Writer, random: Random, number: int) -> Job:
    session = writer.agent(0.0)
    place = random.randrange(len(session.turns))
    return Job(number, session, session.turns[place], place, 0.0)


def lines() -> list[str]:
    rows = ["one decision, in the median of 2000 (prompts of up to 60,000 tokens):"]
    rows += [
        f"  {machines} machines x {count} in flight: {decision_us(machines, count):,.0f} us"
        for machines, count in SIZES
    ]
    return rows
