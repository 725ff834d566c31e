from cluster.backoff import Backoff
from nodes.snapshot import EngineId

ENGINE = EngineId("m.box.1")


def test_each_failure_doubles_the_wait_up_to_a_minute() -> None:
    backoff, waits = Backoff(), []
    for _ in range(9):
        backoff = backoff.after_failure(ENGINE, "no disk", now_s=100)
        setback = backoff.of(ENGINE)
        assert setback is not None
        waits.append(setback.retry_at_s - 100)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_order_is_due_once_its_wait_is_over_and_success_forgets() -> None:
    backoff = Backoff().after_failure(ENGINE, "no disk", now_s=100)

    assert not backoff.due(ENGINE, 100.9)
    assert backoff.due(ENGINE, 101)
    assert backoff.due(EngineId("other"), 0)
    assert backoff.after_success(ENGINE) == Backoff()
    assert backoff.only([]) == Backoff()
    assert backoff.only([ENGINE]) == backoff
