"""Every policy by name, as `--policy` knows it."""

from collections.abc import Callable

from bench.routing.machine import Engine
from bench.routing.policies import (
    CacheAware,
    Chance,
    Dynamo,
    Least,
    LeastLoad,
    LeastRequests,
    LiteLatency,
    LMetric,
    RoundRobin,
    Score,
    TwoChoices,
    Weighted,
)
from bench.routing.potluck_policy import Clairvoyant, Potluck
from bench.routing.simulate import Policy
from router.policies import CARD

Make = Callable[[list[Engine], int, float], Policy]  # engines, seed, seconds between scrapes

POTLUCK, CLAIRVOYANT, BASE, LMETRIC = "potluck", "clairvoyant", "least_requests", "lmetric"


def _weighted_connections(engine: Engine) -> float:
    return (len(engine.in_flight) + 1) / engine.spec.prefill


def _card(own: Weighted) -> tuple[Score, ...]:
    fit, headroom, depth = CARD
    return (fit, lambda job, engine, now_s: 1.0), (headroom, own.headroom), (depth, own.depth)


POLICIES: dict[str, Make] = {
    "random": lambda engines, seed, scrape_s: Chance(seed),
    "round_robin": lambda engines, seed, scrape_s: RoundRobin(),
    BASE: lambda engines, seed, scrape_s: LeastRequests(),
    "power_of_two": lambda engines, seed, scrape_s: TwoChoices(seed),
    "weighted_least_conn": lambda engines, seed, scrape_s: Least(lambda job, one, now_s: _weighted_connections(one)),
    "jsq_tokens": lambda engines, seed, scrape_s: Least(
        lambda job, engine, now_s: sum(other.prompt for other in engine.in_flight)
    ),
    "cache_aware": lambda engines, seed, scrape_s: CacheAware(0.5, 32, 1.1),
    "cache_aware_abs4": lambda engines, seed, scrape_s: CacheAware(0.5, 4, 1.1),
    "gie_2_2_3": lambda engines, seed, scrape_s: Weighted(
        seed, scrape_s, lambda own: ((2, own.queue), (2, own.cache), (3, own.prefix))
    ),
    "llmd_3_2_2": lambda engines, seed, scrape_s: Weighted(
        seed, scrape_s, lambda own: ((3, own.prefix), (2, own.tokens), (2, own.active))
    ),
    "card_naive": lambda engines, seed, scrape_s: Weighted(seed, scrape_s, _card),
    LMETRIC: lambda engines, seed, scrape_s: LMetric(),
    "lmetric_by_rate": lambda engines, seed, scrape_s: LMetric(by_rate=True),
    "dynamo_linear": lambda engines, seed, scrape_s: Dynamo(),
    "smg_least_load": lambda engines, seed, scrape_s: LeastLoad(scrape_s),
    "litellm_latency": lambda engines, seed, scrape_s: LiteLatency(seed),
    POTLUCK: lambda engines, seed, scrape_s: Potluck(engines),
    CLAIRVOYANT: lambda engines, seed, scrape_s: Clairvoyant(engines),
}
# Potluck is measured against the best of these on each workload.
RIVALS = tuple(name for name in POLICIES if name not in (POTLUCK, CLAIRVOYANT))
