"""Engines that nobody asks, because they seem slow."""

from hypothesis import given
from hypothesis import strategies as st

from router.second_look import LEAST_HOPE, LONGEST_PATIENCE_S, PATIENCE_S, SecondLook


def idle_for(look: SecondLook, seconds: float, from_s: float = 0.0) -> float:
    """Until when."""
    for passed_s in range(0, int(seconds) + 1, 10):
        look.idle(from_s + passed_s)
    return from_s + seconds


def test_hope_begins_after_a_while_without_a_request_and_grows_up_to_a_limit() -> None:
    look, hopes = SecondLook(), list[float]()
    for patience in (0.0, 1.0, 2.0, 3.0, 30.0):
        look.idle(patience * PATIENCE_S)
        hopes.append(look.hope)

    assert hopes == [1.0, 1.0, 0.5, 0.25, LEAST_HOPE]


def test_a_request_that_took_as_long_as_was_learnt_ends_it_and_the_next_time_takes_twice_as_long() -> None:
    look = SecondLook()
    at_s = idle_for(look, 3 * PATIENCE_S)
    look.saw(at_s, 1.1)
    assert look.hope == 1.0

    at_s = idle_for(look, 2 * PATIENCE_S, at_s)
    assert look.hope == 1.0
    idle_for(look, 2 * PATIENCE_S, at_s)
    assert look.hope < 1.0


def test_one_that_was_quicker_lets_it_be_as_quick_as_it_was_until_one_is_not() -> None:
    look = SecondLook()
    at_s = idle_for(look, 30 * PATIENCE_S)
    look.saw(at_s, 0.4)
    assert look.hope == 0.4
    look.saw(at_s, 0.7)
    assert look.hope == 0.7
    look.saw(at_s, 0.95)
    assert look.hope == 1.0


def test_a_request_that_shows_nothing_is_as_one_that_was_slow() -> None:
    look = SecondLook()
    at_s = idle_for(look, 3 * PATIENCE_S)
    look.saw(at_s, None)

    assert look.hope == 1.0
    assert look.patience_s == 2 * PATIENCE_S


EVENTS = st.lists(st.tuples(st.floats(0, 1e5), st.none() | st.floats(1e-6, 1e6), st.booleans()), max_size=50)


@given(EVENTS)
def test_hope_stays_within_its_limits_whatever_happens(events: list[tuple[float, float | None, bool]]) -> None:
    look, now_s = SecondLook(), 0.0
    for passed_s, ratio, ends in events:
        now_s += passed_s
        if ends:
            look.saw(now_s, ratio)
        else:
            look.idle(now_s)

        assert LEAST_HOPE <= look.hope <= 1.0
        assert PATIENCE_S <= look.patience_s <= LONGEST_PATIENCE_S
