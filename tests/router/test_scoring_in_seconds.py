"""Decisions with a prospect: seconds decide, ties are stable, and what was ruled out stays out."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from inventory.catalog import ModelName
from nodes.snapshot import EngineId
from router.cost import Ask, Prospect, Standing
from router.decision import ModelRoutes, routing_table
from router.scoring import decide
from support.decisions import CPU, GPU, HERE, asking, on, routes_of
from support.gateway import cluster_of, engine_at

NAMES = tuple("abcdefgh")
TWO = NAMES[:2]


def prospect(*standings: Standing, ask: Ask | None = None) -> Prospect:
    named = {EngineId(name): one for name, one in zip(NAMES, standings, strict=False)}
    return Prospect(ask or Ask(1000, 200.0), named)


def ranking(found: ModelRoutes, seen: Prospect) -> list[str]:
    return [score.engine_id for score in decide(found, asking(), {}, {}, prospect=seen).ranked]


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
    decision = decide(
        routes_of(TWO), asking(), {EngineId("b"): 5}, {}, prospect=prospect(on(CPU), on(GPU, in_flight=5))
    )

    assert [score.engine_id for score in decision.ranked] == ["b", "a"]
    assert decision.reason == "least_cost"


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8))
def test_terms_sum_to_the_cost(standings: list[Standing]) -> None:
    found = routes_of(NAMES[: len(standings)])

    for score in decide(found, asking(), {}, {}, prospect=prospect(*standings)).ranked:
        assert abs(sum(seconds for _, seconds in score.terms) - score.total_s) <= 1e-9


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_nothing(standings: list[Standing], chance: random.Random) -> None:
    found, seen = routes_of(NAMES[: len(standings)]), prospect(*standings)
    shuffled = list(found.candidates)
    chance.shuffle(shuffled)

    assert ranking(replace(found, candidates=tuple(shuffled)), seen) == ranking(found, seen)


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_whoever_is_rejected_is_never_chosen(standings: list[Standing], tried: set[str], out: set[str]) -> None:
    ejected = {EngineId(name): "ejected: died" for name in out}
    decision = decide(
        routes_of(NAMES[: len(standings)]), asking(), {}, ejected, {EngineId(one) for one in tried},
        prospect=prospect(*standings),
    )  # fmt: skip

    chosen = {score.engine_id for score in decision.ranked}
    assert not chosen & {engine_id for engine_id, _ in decision.rejected}
    assert not chosen & tried


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8))
def test_the_first_is_within_a_tie_of_the_cheapest(standings: list[Standing]) -> None:
    ranked = decide(routes_of(NAMES[: len(standings)]), asking(), {}, {}, prospect=prospect(*standings)).ranked
    least_s = min(score.total_s for score in ranked)

    assert ranked[0].total_s <= least_s + max(0.05, 0.05 * least_s)


def test_near_ties_go_to_where_the_session_lives_then_to_the_less_busy_then_to_the_lower_id() -> None:
    assert ranking(routes_of(TWO), prospect(on(), on(backlog_s=0.02, home=True))) == ["b", "a"]
    assert ranking(routes_of(TWO), prospect(on(in_flight=1), on())) == ["b", "a"]
    assert ranking(routes_of(TWO), prospect(on(live_tokens=900), on())) == ["b", "a"]
    assert ranking(routes_of(TWO), prospect(on(), on())) == ["a", "b"]
    assert ranking(routes_of(TWO), prospect(on(), on(backlog_s=2.0, home=True))) == ["a", "b"]


@settings(deadline=None)
@given(st.lists(STANDINGS, min_size=2, max_size=8), st.integers(0, 2_000_000))
def test_one_look_at_all_engines_finds_the_same_as_a_look_at_each(standings: list[Standing], characters: int) -> None:
    found, asked = routes_of(NAMES[: len(standings)]), replace_struct(asking(), prompt_characters=characters)
    one_by_one = replace(found, smallest_context=0)
    seen = prospect(*standings)

    decision = decide(found, asked, {}, {}, prospect=seen)
    assert decision == decide(one_by_one, asked, {}, {}, prospect=seen)
    assert decision.chosen == next((score.candidate for score in decision.ranked), None)


def test_a_context_that_is_too_small_is_left_out_before_seconds_decide() -> None:
    engines = [engine_at(HERE, "a", context_tokens=500), engine_at(HERE, "b", context_tokens=100_000)]
    found = routing_table(cluster_of(engines)).models[ModelName("toy")]
    decision = decide(found, asking(), {}, {}, prospect=prospect(on(GPU), on(CPU)))

    assert [score.engine_id for score in decision.ranked] == ["b"]
    assert decision.reason == "only_fit"


def test_without_a_prospect_requests_per_slot_decide() -> None:
    decision = decide(routes_of(TWO), asking(), {EngineId("a"): 1}, {})

    assert decision.reason == "least_loaded"
    assert decision.ranked[0].engine_id == "b"
