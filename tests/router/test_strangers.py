"""Requests in an engine that this gateway did not send."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineLoad
from router.foresight import Question
from router.strangers import LOOKS_BACK_S, STALE_S, Report, Strangers
from support.gateway import engine_at, running_gateway


def told(strangers: Strangers, *reports: tuple[int, int, int], from_s: float = 0.0) -> Strangers:
    """Running, waiting, and the most that this gateway had there; a report a second."""
    for second, (running, waiting, own) in enumerate(reports):
        at_s = from_s + second
        strangers.heard(Report(at_s + 1e6, running, waiting), own, at_s)
    return strangers


def test_what_an_engine_has_beyond_what_it_was_sent_counts() -> None:
    strangers = told(Strangers(), (3, 2, 1))
    assert (strangers.count, strangers.running) == (4, 3)

    assert told(Strangers(), (3, 0, 3)).count == 0


def test_requests_that_have_ended_since_the_report_are_not_taken_for_those_of_others() -> None:
    assert told(Strangers(), (4, 0, 4), (4, 0, 0), (4, 0, 0)).count == 0
    assert told(Strangers(), (4, 0, 4), *[(4, 0, 0)] * (int(LOOKS_BACK_S) + 1)).count == 4


def test_they_are_gone_when_the_engine_says_so_and_when_it_says_nothing_any_more() -> None:
    strangers = told(Strangers(), (2, 0, 0), (2, 0, 0))
    assert told(strangers, (0, 0, 0), from_s=2.0).count == 0

    strangers = told(Strangers(), (2, 0, 0), (2, 0, 0))
    same = Report(1e6 + 1, 2, 0)
    strangers.heard(same, 0, 3.0)
    assert (strangers.count, strangers.age_s) == (2, 2.0)
    strangers.heard(same, 0, 1.0 + STALE_S + 0.1)
    assert (strangers.count, strangers.running, strangers.age_s) == (0, 0, 0.0)


def test_an_engine_that_says_nothing_has_none() -> None:
    strangers = Strangers()

    assert not strangers.heard(None, 0, 0.0)
    assert strangers.count == 0


async def test_a_gateway_counts_them_once_it_has_heard_of_its_engines(tmp_path: Path) -> None:
    load, rates = EngineLoad(running=3, waiting=1, slots=4), Rates(1000.0, 20_000.0, 0.01, 0.001, 0.0)
    engine = replace(engine_at(Address("127.0.0.1", 1)), load=load, rates=rates)
    async with running_gateway(tmp_path, [engine]) as running:
        context = running.gateway.dispatcher.context
        context.sweep(0.0)
        now_s = context.clock.monotonic_s()
        prospect = context.foresight.prospect(Question(100, "chat"), [engine.engine_id], now_s)

    assert prospect is not None
    assert prospect.standings[engine.engine_id].strangers == 4


REPORTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 120)), max_size=40)


@given(REPORTS)
def test_there_are_never_more_of_them_than_the_engine_had_beyond_the_last_that_it_was_sent(
    reports: list[tuple[int, int, int]],
) -> None:
    strangers = Strangers()
    for second, (running, waiting, own) in enumerate(reports):
        strangers.heard(Report(float(second), running, waiting), own, float(second))

        assert 0 <= strangers.running <= strangers.count <= max(running + waiting - own, 0)
