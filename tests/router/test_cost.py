"""Seconds, term by term: what they add up to, and which way each fact pushes them."""

from dataclasses import dataclass

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.rates import Rates
from router.cost import TERMS, Ask, Standing, cost, first_token_s, seconds, until_first_token_s
from router.rates import Bias

GPU = Rates(7500.0, 32_000.0, 0.0065, 0.00045, 1e-7)
MAC = Rates(1900.0, 32_000.0, 0.0115, 0.002, 1.2e-7)


def standing(rates: Rates = GPU, **facts: object) -> Standing:
    return msgspec.structs.replace(Standing(rates, cache_tokens=80_000, slots=16), **facts)


@dataclass(frozen=True)
class Case:
    ask: Ask
    on: Standing

    @property
    def total_s(self) -> float:
        return sum(seconds for _, seconds in cost(self.ask, self.on))


LOADS = ("in_flight", "decoding", "kv_tokens", "backlog_s", "backlog_tokens", "live_tokens", "neighbours_step_s",
         "load_s")  # fmt: skip
TOKENS = st.integers(0, 100_000)
CASES = st.builds(
    Case,
    st.builds(Ask, st.integers(1, 100_000), st.floats(1, 4000), st.booleans()),
    st.builds(
        Standing,
        st.sampled_from([GPU, MAC]),
        cache_tokens=st.sampled_from([0, 40_000, 500_000]),
        slots=st.integers(1, 64),
        bias=st.builds(Bias, st.floats(0.2, 5), st.floats(0.2, 5)),
        in_flight=st.integers(0, 100),
        decoding=st.integers(0, 64),
        kv_tokens=TOKENS,
        backlog_s=st.floats(0, 500),
        backlog_tokens=TOKENS,
        neighbours_step_s=st.floats(0, 1),
        live_tokens=TOKENS,
        cached_tokens=TOKENS,
        load_s=st.floats(0, 60),
    ),
)


@settings(deadline=None)
@given(CASES)
def test_what_a_request_reckons_with_is_the_terms_without_their_names(case: Case) -> None:
    assert tuple(zip(TERMS, seconds(case.ask, case.on), strict=True)) == cost(case.ask, case.on)
    assert abs(sum(seconds(case.ask, case.on)) - case.total_s) <= 1e-9


@settings(deadline=None)
@given(CASES)
def test_no_term_is_below_nothing(case: Case) -> None:
    assert all(seconds >= 0 for _, seconds in cost(case.ask, case.on))


@settings(deadline=None)
@given(
    CASES,
    st.sampled_from(LOADS),
    st.integers(1, 20_000),
)
def test_more_to_do_never_lowers_what_an_engine_costs(case: Case, fact: str, more: int) -> None:
    busier = msgspec.structs.replace(case.on, **{fact: getattr(case.on, fact) + more})

    assert Case(case.ask, busier).total_s >= case.total_s - 1e-9


@settings(deadline=None)
@given(CASES, st.integers(1, 50_000))
def test_a_longer_cached_beginning_never_raises_the_prefill(case: Case, more: int) -> None:
    cached = msgspec.structs.replace(case.on, cached_tokens=case.on.cached_tokens + more)

    assert dict(cost(case.ask, cached))["prefill"] <= dict(cost(case.ask, case.on))["prefill"]


def test_an_idle_engine_costs_its_prefill_and_a_share_of_its_decode() -> None:
    terms = dict(cost(Ask(7500, 100.0), standing()))

    assert terms["wait"] == terms["load"] == terms["delay"] == terms["eviction"] == terms["home"] == 0.0
    assert 1.0 < terms["prefill"] < 1.2  # later tokens cost more than the first ones
    assert 0.2 < terms["decode"] < 0.3


def test_the_first_token_is_expected_after_wait_load_and_prefill() -> None:
    terms = cost(Ask(7500, 100.0), standing(backlog_s=2.0, load_s=3.0))

    assert first_token_s(terms) == sum(dict(terms)[name] for name in ("wait", "load", "prefill"))
    assert first_token_s(terms) > 6.0
    assert until_first_token_s([amount for _, amount in terms]) == first_token_s(terms)


def test_a_full_engine_makes_wait_whoever_comes_next() -> None:
    assert dict(cost(Ask(10, 100.0), standing(in_flight=15)))["wait"] == 0.0
    assert dict(cost(Ask(10, 100.0), standing(in_flight=16)))["wait"] > 0.0
    assert dict(cost(Ask(10, 100.0), standing(in_flight=1, kv_tokens=79_990)))["wait"] > 0.0


def test_a_session_that_returns_is_dear_where_others_fill_the_cache() -> None:
    returning, once = Ask(20_000, 200.0, multi_turn=True), Ask(20_000, 200.0)

    assert dict(cost(returning, standing()))["home"] == 0.0
    assert dict(cost(returning, standing(live_tokens=70_000)))["home"] > 5.0
    assert dict(cost(once, standing(live_tokens=70_000)))["home"] == 0.0
    assert dict(cost(once, standing(live_tokens=70_000)))["eviction"] > 1.0
    assert dict(cost(returning, standing(live_tokens=1_000, kept_tokens=1_000)))["home"] > 5.0


def test_the_same_prompt_is_dearer_on_the_slower_machine() -> None:
    ask = Ask(8000, 200.0)

    assert Case(ask, standing(MAC)).total_s > 2.5 * Case(ask, standing(GPU)).total_s
