"""Decisions with a prospect: seconds decide, ties are stable, and what was ruled out stays out."""

import random
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.catalog import ModelName
from nodes.relay.contract import Address
from nodes.snapshot import EngineId
from router.cost import Ask, Prospect, Standing
from router.decision import ModelRoutes, routing_table
from router.rates import Rates
from router.request import Parsed
from router.scoring import decide
from support.gateway import cluster_of, engine_at

HERE = Address("127.0.0.1", 1)
NAMES = tuple("abcdefgh")
GPU = Rates(7500.0, 32_000.0, 0.0065, 0.00045, 1e-7)
CPU = Rates(220.0, 32_000.0, 0.028, 0.008, 2.5e-7)


class NoPrompt:
    def encode(self, served_name: str, stream: bool) -> bytes:
        return b""

    def said(self) -> str:
        return ""


def asking(characters: int) -> Parsed:
    return Parsed("toy", False, False, characters, None, NoPrompt())


def routes(names: tuple[str, ...] = ("a", "b")) -> ModelRoutes:
    engines = [engine_at(HERE, name, context_tokens=100_000) for name in names]
    return routing_table(cluster_of(engines)).models[ModelName("toy")]


def prospect(*standings: Standing, ask: Ask | None = None) -> Prospect:
    named = {EngineId(name): one for name, one in zip(NAMES, standings, strict=False)}
    return Prospect(ask or Ask(1000, 200.0), named)


def on(rates: Rates = GPU, **facts: object) -> Standing:
    return msgspec.structs.replace(Standing(rates, cache_tokens=80_000, slots=16), **facts)


def ranking(found: ModelRoutes, seen: Prospect) -> list[str]:
    return [score.engine_id for score in decide(found, asking(4000), {}, {}, prospect=seen).ranked]


STANDINGS = st.builds(
    Standing,
    st.sampled_from([GPU, CPU]),
    cache_tokens=st.sampled_from([65_000, 500_000]),
    slots=st.integers(1, 32),
    in_flight=st.integers(0, 64),
    decoding=st.integers(0, 32),
    kv_tokens=st.integers(0, 80_000),
    backlog_s=st.floats(0, 100),
    live_tokens=st.integers(0, 200_000),
    cached_tokens=st.integers(0, 4000),
    home=st.booleans(),
)


def test_a_busy_fast_engine_is_better_than_an_idle_slow_one() -> None:
    decision = decide(routes(), asking(4000), {EngineId("b"): 5}, {}, prospect=prospect(on(CPU), on(GPU, in_flight=5)))

    assert [score.engine_id for score in decision.ranked] == ["b", "a"]
    assert decision.reason == "least_cost"


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8))
def test_terms_sum_to_the_cost(standings: list[Standing]) -> None:
    found = routes(NAMES[: len(standings)])

    for score in decide(found, asking(4000), {}, {}, prospect=prospect(*standings)).ranked:
        assert abs(sum(seconds for _, seconds in score.terms) - score.total_s) <= 1e-9


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_nothing(standings: list[Standing], chance: random.Random) -> None:
    found, seen = routes(NAMES[: len(standings)]), prospect(*standings)
    shuffled = list(found.candidates)
    chance.shuffle(shuffled)

    assert ranking(replace(found, candidates=tuple(shuffled)), seen) == ranking(found, seen)


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_whoever_is_rejected_is_never_chosen(standings: list[Standing], tried: set[str], out: set[str]) -> None:
    ejected = {EngineId(name): "ejected: died" for name in out}
    decision = decide(
        routes(NAMES[: len(standings)]), asking(4000), {}, ejected, {EngineId(one) for one in tried},
        prospect=prospect(*standings),
    )  # fmt: skip

    chosen = {score.engine_id for score in decision.ranked}
    assert not chosen & {engine_id for engine_id, _ in decision.rejected}
    assert not chosen & tried


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8))
def test_the_first_is_within_a_tie_of_the_cheapest(standings: list[Standing]) -> None:
    ranked = decide(routes(NAMES[: len(standings)]), asking(4000), {}, {}, prospect=prospect(*standings)).ranked
    least_s = min(score.total_s for score in ranked)

    assert ranked[0].total_s <= least_s + max(0.05, 0.05 * least_s)


def test_near_ties_go_to_where_the_session_lives_then_to_the_less_busy_then_to_the_lower_id() -> None:
    assert ranking(routes(), prospect(on(), on(backlog_s=0.02, home=True))) == ["b", "a"]
    assert ranking(routes(), prospect(on(in_flight=1), on())) == ["b", "a"]
    assert ranking(routes(), prospect(on(live_tokens=900), on())) == ["b", "a"]
    assert ranking(routes(), prospect(on(), on())) == ["a", "b"]
    assert ranking(routes(), prospect(on(), on(backlog_s=2.0, home=True))) == ["a", "b"]


def test_a_context_that_is_too_small_is_left_out_before_seconds_decide() -> None:
    engines = [engine_at(HERE, "a", context_tokens=500), engine_at(HERE, "b", context_tokens=100_000)]
    found = routing_table(cluster_of(engines)).models[ModelName("toy")]
    decision = decide(found, asking(4000), {}, {}, prospect=prospect(on(GPU), on(CPU)))

    assert [score.engine_id for score in decision.ranked] == ["b"]
    assert decision.reason == "only_fit"


def test_without_a_prospect_requests_per_slot_decide() -> None:
    decision = decide(routes(), asking(4000), {EngineId("a"): 1}, {})

    assert decision.reason == "least_loaded"
    assert decision.ranked[0].engine_id == "b"
