"""How fast an engine is follows from a few requests before it takes any, and is measured once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.engine_probe import authorization
from nodes.engine_profile import EngineProfile
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import Authority
from nodes.rates import LEAST_DOUBLING_TOKENS, MOST_DOUBLING_TOKENS, Rates, Reading, Writing, rates_from
from nodes.rates_book import MOST_ENTRIES, RatesBook
from nodes.snapshot import EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.nodes import port_of, spec, until_state, workshop

CHIEF = Authority(epoch=1, config_revision=1)
SPEC = spec(prompt_tokens_per_s="2000", tokens_per_s="200")
TRUE = Rates(1000.0, 8000.0, 0.01, 0.002, 1e-6)
seconds = st.floats(1e-6, 1e4)
readings = st.lists(st.builds(Reading, st.integers(0, 100_000), seconds), max_size=4)
steps = st.one_of(st.just(0.0), st.floats(1e-9, 1e3))
writings = st.lists(st.builds(Writing, st.integers(1, 8), st.floats(1, 1e6), steps), max_size=4)


def writing(rates: Rates, requests: int, tokens: float) -> Writing:
    return Writing(requests, tokens, rates.decode_step_s(requests, tokens))


def test_rates_are_found_again_in_what_such_an_engine_does() -> None:
    read = [Reading(tokens, TRUE.read_s(0, tokens)) for tokens in (32, 128, 1024)]
    wrote = [writing(TRUE, 1, 40), writing(TRUE, 1, 1030), writing(TRUE, 4, 160)]

    found = rates_from(read, wrote)

    assert found is not None
    assert found.prefill == pytest.approx(1000)
    assert found.doubling_tokens == pytest.approx(8000)
    assert found.step_s == pytest.approx(0.01)
    assert found.step_per_request_s == pytest.approx(0.002)
    assert found.step_per_token_s == pytest.approx(1e-6)


def test_short_prompts_do_not_say_what_looking_far_back_costs() -> None:
    found = rates_from([Reading(32, 0.05), Reading(128, 0.4)], [Writing(1, 36, 0.01), Writing(1, 132, 0.05)])

    assert found == Rates((1 + 128 / 40_000) * 320, 20_000.0, 0.01, 0.0, 0.0)


def test_one_that_said_nothing_has_no_rates() -> None:
    assert rates_from([], [Writing(1, 10, 0.1)]) is None
    assert rates_from([Reading(10, 0.1)], []) is None
    assert rates_from([Reading(0, 0.1)], [Writing(1, 10, 0.1)]) is None


def test_a_batch_that_was_held_up_does_not_make_one_request_slower_than_it_was_seen_to_be() -> None:
    found = rates_from([Reading(32, 0.1)], [Writing(1, 40, 0.02), Writing(4, 160, 0.5)])

    assert found is not None
    assert found.decode_step_s(1, 40) == pytest.approx(0.02)


@given(readings, writings)
def test_whatever_was_measured_every_rate_is_usable(read: list[Reading], wrote: list[Writing]) -> None:
    found = rates_from(read, wrote)

    if found is not None:
        assert found.prefill > 0
        assert LEAST_DOUBLING_TOKENS <= found.doubling_tokens <= MOST_DOUBLING_TOKENS
        assert found.step_s > 0
        assert min(found.step_per_request_s, found.step_per_token_s) >= 0
        assert found.read_s(0, 1000) > 0


@pytest.fixture
async def measuring(tmp_path: Path) -> AsyncIterator[Supervisor]:
    shop = replace(workshop(tmp_path), rates=RatesBook(tmp_path / "rates.json"))
    try:
        async with supervising(shop, LifecyclePolicy(), lambda: None) as supervisor:
            yield supervisor
    finally:
        reap(StatePaths.at(tmp_path).leases, grace_s=1.0)


async def requests_of(engine: EngineSnapshot) -> int:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port_of(engine)}") as client:
        return int((await client.get("/fault")).json()["requests"])


async def test_an_engine_is_measured_before_it_is_ready_and_not_again(measuring: Supervisor, tmp_path: Path) -> None:
    measuring.ensure(SPEC, CHIEF)
    first = await until_state(measuring, "ready")
    asked = await requests_of(first)
    measuring.ensure(replace(SPEC, slots=SPEC.slots + 1), CHIEF)  # other settings: it starts anew
    again = await until_state(measuring, "ready", generation=first.generation + 1)

    assert first.rates is not None
    assert 800 < first.rates.prefill < 2500
    assert 0.004 < first.rates.step_s + first.rates.step_per_request_s < 0.02  # which of both took how much is noise
    assert asked > 3
    assert again.rates == first.rates == RatesBook(tmp_path / "rates.json").of(SPEC, first.engine_version)
    assert await requests_of(again) == 0


async def test_one_that_refuses_serves_without_rates(measuring: Supervisor) -> None:
    measuring.ensure(spec(failing=""), CHIEF)
    engine = await until_state(measuring, "ready")
    assert engine.endpoint is not None
    profile = EngineProfile(engine.endpoint, authorization(engine.endpoint), "toy", 4096, SystemClock())

    assert engine.rates is None
    assert await profile.rates(slots=4) is None


def test_a_book_that_cannot_be_read_is_empty_and_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text('{"broken')
    book = RatesBook(path)
    book.put(SPEC, "1", TRUE)

    assert RatesBook(path).of(SPEC, "1") == TRUE
    assert RatesBook(path).of(SPEC, "2") is None


def test_daemons_that_share_a_book_lose_nothing_of_one_another(tmp_path: Path) -> None:
    one, other = RatesBook(tmp_path / "rates.json"), RatesBook(tmp_path / "rates.json")
    one.put(SPEC, "1", TRUE)
    other.put(SPEC, "2", TRUE)
    one.look_again()

    assert (one.of(SPEC, "2"), other.of(SPEC, "1")) == (TRUE, TRUE)


def test_a_book_keeps_the_youngest(tmp_path: Path) -> None:
    book = RatesBook(tmp_path / "rates.json")
    for number in range(MOST_ENTRIES + 1):
        book.put(SPEC, str(number), TRUE)

    assert (book.of(SPEC, "0"), book.of(SPEC, str(MOST_ENTRIES))) == (None, TRUE)
