"""The residency planner over a machine with so much room, second by second."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.residency_values import Stance
from support.house import KEEP_ALIVE_S, LOAD_S, RULES, House, stance


def two() -> House:
    """Two models that do not fit together."""
    return House({"a": 6, "b": 6})


def test_nobody_asks_and_nobody_wakes() -> None:
    assert stance(two().step({}), "a") == Stance("asleep", "nobody asks for it")


def test_what_is_asked_for_and_fits_is_let_in_at_once_beside_the_others() -> None:
    house = House({"a": 6, "b": 4})
    house.step({"a": 1})

    assert stance(house.step({"a": 1, "b": 1}), "b").kind == "resident"
    assert house.awake() == {"a", "b"}


def test_an_idle_model_takes_no_more_requests_after_its_keep_alive_and_then_leaves() -> None:
    house = two()
    house.steps({"a": 1}, 20)
    asleep_after = int(KEEP_ALIVE_S)

    assert stance(house.steps({}, asleep_after - 1), "a").kind == "resident"
    assert stance(house.step({}), "a").kind == "yielding"
    assert stance(house.step({}), "a").kind == "asleep"
    assert house.awake() == set()


def test_one_that_is_asked_for_again_while_it_leaves_stays() -> None:
    house = two()
    house.steps({"a": 1}, 20)
    house.steps({}, int(KEEP_ALIVE_S))

    assert stance(house.step({"a": 1}), "a").kind == "resident"


def test_a_model_that_still_loads_is_not_idle_however_long_it_takes() -> None:
    house = two()
    house.broken.add("a")
    house.step({"a": 1})
    house.broken.clear()

    assert stance(house.steps({}, 3), "a").kind == "resident"


def test_a_resident_model_keeps_its_place_for_its_dwell_time_and_says_how_long_that_is() -> None:
    house = two()
    house.steps({"a": 1}, 10)
    served_s = house.residency.residents[0].served_s
    assert served_s is not None

    waits = stance(house.step({"b": 5}), "b")
    assert waits.why == "waits for its turn after `a`"
    assert waits.wait_s == served_s + RULES.dwell_s - house.now_s + RULES.notice_s
    while house.awake() == {"a"}:
        house.step({"b": 5})

    assert house.now_s - served_s >= RULES.dwell_s
    assert house.now_s - served_s <= RULES.dwell_s + RULES.notice_s + 1


def test_the_demand_of_a_newcomer_must_exceed_that_of_the_one_it_displaces() -> None:
    house = two()
    house.steps({"a": 4}, 60)

    house.steps({"a": 4, "b": 1}, 30)
    assert house.awake() == {"a"}, "one that waits is not worth four that are served"
    house.steps({"a": 4, "b": 8}, 25)
    assert house.awake() == {"b"}


def test_one_that_has_waited_for_very_long_gets_its_turn_whatever_the_others_demand() -> None:
    house = two()
    house.steps({"a": 50}, 60)
    asked_s = house.now_s
    while "b" not in house.awake():
        house.step({"a": 50, "b": 1})

    assert house.now_s - asked_s <= RULES.patience_s + RULES.notice_s + 2


def test_a_pause_shorter_than_a_dwell_time_costs_nobody_the_place_in_the_queue() -> None:
    house = two()
    house.steps({"a": 50}, 60)
    asked_s = house.now_s
    while "b" not in house.awake():
        house.steps({"a": 50, "b": 1}, 10)
        house.steps({"a": 50}, 10)  # its client was refused, and comes again

    assert house.now_s - asked_s <= RULES.patience_s + 20 + RULES.notice_s


def test_nobody_leaves_while_its_requests_run() -> None:
    house = two()
    house.runs_on.add("a")
    house.steps({"a": 1}, 60)

    waits = stance(house.steps({"a": 1, "b": 20}, 60), "b")
    assert waits.why == "waits until `a` has finished"
    assert house.awake() == {"a"}
    assert house.residency.residents[0].room_for == "b"
    house.runs_on.clear()
    house.steps({"b": 20}, 2)
    assert house.awake() == {"b"}


def test_one_that_makes_room_stays_when_those_who_asked_for_the_other_have_left() -> None:
    house = two()
    house.runs_on.add("a")
    house.steps({"a": 1}, 60)
    house.steps({"a": 1, "b": 20}, 5)

    assert stance(house.step({"a": 1}), "a").kind == "resident"


def test_one_that_cannot_start_holds_no_place() -> None:
    house = two()
    house.broken.add("a")
    house.steps({"a": 1}, 5)

    house.steps({"b": 1}, 5)
    assert house.awake() == {"b"}


def test_only_as_many_leave_as_must() -> None:
    house = House({"a": 2, "b": 3, "c": 5, "d": 5})
    house.steps({"a": 1, "b": 1, "c": 3}, 60)
    house.steps({"c": 3, "d": 9}, 60)
    assert house.awake() == {"c", "d"}

    house = House({"a": 2, "b": 3, "c": 5, "d": 2})
    house.steps({"a": 1, "b": 1, "c": 3}, 60)
    house.steps({"c": 3, "d": 9}, 60)
    assert house.awake() == {"b", "c", "d"}, "the least wanted that is enough"


def test_models_that_always_run_get_their_room_back_without_delay() -> None:
    house = House({"a": 6, "big": 6})
    house.steps({"a": 1}, 10)
    house.always = ("big",)

    house.steps({"a": 1}, 3)
    assert house.awake() == set()
    assert stance(house.steps({"a": 1}, 60), "a").why == "nothing that sleeps could make room for it"


def test_one_whose_room_was_taken_by_other_programs_waits_for_another_turn() -> None:
    house = House({"a": 6, "b": 4})
    house.steps({"a": 1, "b": 1}, 20)
    house.room, house.shrunk = 8, True

    waits = stance(house.steps({"a": 1, "b": 1}, 2), "b")
    assert (house.awake(), waits.why) == ({"a"}, "waits for its turn after `a`")
    house.room = 10
    assert stance(house.step({"a": 1, "b": 1}), "b").kind == "resident"


def test_models_that_are_no_longer_configured_are_forgotten() -> None:
    house = two()
    house.steps({"a": 1, "b": 1}, 5)
    del house.sizes["a"]

    house.steps({"b": 1}, 2)
    assert house.awake() == {"b"}


def test_two_that_are_always_asked_for_take_turns_of_at_least_a_dwell_time() -> None:
    house = two()
    house.steps({"a": 10, "b": 10}, 600)

    swaps = house.swaps()
    assert len(swaps) >= 3
    assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(swaps))


LOADS = st.fixed_dictionaries({name: st.integers(0, 30) for name in "abc"})
PHASES = st.lists(st.tuples(LOADS, st.integers(1, 60)), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(PHASES, st.sampled_from([10, 12, 15]))
def test_no_machine_sees_two_swaps_in_one_dwell_time(phases: list[tuple[dict[str, int], int]], room: int) -> None:
    house = House({"a": 6, "b": 6, "c": 5}, room)
    for asked, seconds in phases:
        house.steps(asked, seconds)

    swaps = house.swaps()
    assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(swaps))


@settings(max_examples=25, deadline=None)
@given(PHASES, st.integers(1, 3), st.integers(0, 40), st.integers(0, 40))
def test_nobody_starves(phases: list[tuple[dict[str, int], int]], mine: int, second: int, third: int) -> None:
    house = House({"a": 6, "b": 6, "c": 6})
    for asked, seconds in phases:
        house.steps(asked, seconds)
    began_s, turn_s = house.now_s, RULES.dwell_s + LOAD_S + RULES.notice_s + 2
    while "a" not in house.awake():
        house.step({"a": mine, "b": second, "c": third})
        assert house.now_s - began_s <= RULES.patience_s + 3 * turn_s, "one turn of each other, and the one under way"


@settings(max_examples=15, deadline=None)
@given(PHASES)
def test_what_is_awake_fits_and_is_at_most_once_there(phases: list[tuple[dict[str, int], int]]) -> None:
    house = House({"a": 6, "b": 6, "c": 4})
    for asked, seconds in phases:
        for _ in range(seconds):
            house.step(asked)
            assert sum(house.sizes[name] for name in house.awake()) <= house.room


@settings(max_examples=15, deadline=None)
@given(PHASES)
def test_the_same_past_gives_the_same_decisions(phases: list[tuple[dict[str, int], int]]) -> None:
    def history() -> list[tuple[float, frozenset[str]]]:
        house = House({"a": 6, "b": 6, "c": 5})
        for asked, seconds in phases:
            house.steps(asked, seconds)
        return house.history

    assert history() == history()
