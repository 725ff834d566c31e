import pytest

from cluster.demand import HOLDS_S, DemandBook, DemandReport, ModelDemand
from inventory.catalog import ModelName

SMOL = ModelName("smol")
WINDOW_S = 60.0


def report(gateway: str = "g1", **fields: float) -> DemandReport:
    return DemandReport(gateway, (ModelDemand(SMOL, **fields),))  # type: ignore[arg-type]  # counts and seconds


def test_gateways_add_up_and_the_next_report_of_one_takes_the_place_of_its_last() -> None:
    book = DemandBook()
    book.note(report("g1", waiting=2, running=1), 0.0)
    book.note(report("g2", waiting=3), 0.0)
    book.note(report("g1", waiting=4), 0.0)

    assert book.of(SMOL, 0.0) == ModelDemand(SMOL, waiting=7, running=0, waited_s=0.0)


def test_those_that_wait_go_on_waiting_between_reports() -> None:
    book = DemandBook()
    book.note(report(waiting=3, waited_s=10.0), 5.0)

    assert book.of(SMOL, 7.0).waited_s == 16.0


def test_a_gateway_that_says_nothing_more_asks_for_nothing_more() -> None:
    book = DemandBook()
    book.note(report(waiting=1), 0.0)
    book.advance(HOLDS_S - 0.1, WINDOW_S)
    assert book.of(SMOL, HOLDS_S).waiting == 1
    book.advance(HOLDS_S, WINDOW_S)

    assert book.of(SMOL, HOLDS_S).waiting == 0


def test_a_report_without_the_model_ends_its_demand_at_once() -> None:
    book = DemandBook()
    book.note(report(waiting=1), 0.0)
    book.note(DemandReport("g1", ()), 0.1)

    assert not book.of(SMOL, 0.1).wanted


def test_work_is_what_ran_and_fades() -> None:
    book = DemandBook()
    book.advance(0.0, WINDOW_S)
    for second in range(1, 11):
        book.note(report(running=3), float(second))
        book.advance(float(second), WINDOW_S)
    worked_s = book.work_s(SMOL)
    book.note(report(), 10.0)
    book.advance(10.0 + WINDOW_S, WINDOW_S)

    assert worked_s == pytest.approx(30.0, rel=0.1)
    assert book.work_s(SMOL) == pytest.approx(worked_s / 2.718, rel=0.01)


def test_requests_that_came_and_went_between_two_reports_count_as_use() -> None:
    book = DemandBook()
    assert book.used_s(SMOL) is None
    book.note(report(ended=1), 3.0)
    book.note(report(), 4.0)

    assert book.used_s(SMOL) == 3.0


def test_models_that_are_no_longer_of_interest_are_forgotten() -> None:
    book = DemandBook()
    book.note(report(running=1), 0.0)
    book.keep([])

    assert book.used_s(SMOL) is None
