"""Models that are kept warm: awake without being asked, and in nobody's way."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from support.house import KEEP_ALIVE_S, LOAD_S, RULES, House, stance


def house(**sizes: int) -> House:
    """`w` is kept warm; there is room for 10."""
    return House(sizes, warm={"w"})


def test_a_warm_model_wakes_without_being_asked_and_is_never_idle() -> None:
    home = house(w=6)

    assert stance(home.step({}), "w").kind == "resident"
    home.steps({}, int(3 * KEEP_ALIVE_S))
    assert home.awake() == {"w"}


def test_it_yields_to_one_that_is_asked_for_after_its_dwell_and_comes_back_when_there_is_room() -> None:
    home = house(w=6, a=6)
    home.steps({}, int(RULES.dwell_s) + 1)
    asked_s = home.now_s
    while home.awake() != {"a"}:
        decided = home.step({"a": 1})
    assert home.now_s - asked_s <= 5, "its demand shows within seconds, and its dwell time was over"
    assert stance(decided, "w").why == "kept warm, and waits for room"

    home.steps({"a": 1}, 60)
    assert home.awake() == {"a"}
    home.steps({}, int(KEEP_ALIVE_S) + 3)
    assert home.awake() == {"w"}


def test_it_does_not_take_room_that_somebody_waits_for() -> None:
    home = house(w=4, a=6, b=10)
    home.steps({"a": 9}, int(LOAD_S) + 2)
    home.room = 6
    home.steps({"a": 9}, 2)
    home.room = 10

    home.steps({"a": 9, "b": 1}, 10)
    assert home.awake() == {"a"}, "b will need all of it"
    home.steps({"a": 9}, int(RULES.dwell_s) + 2)
    assert home.awake() == {"a", "w"}, "nobody has asked for b for long"


def test_it_does_not_come_back_right_behind_the_one_it_made_room_for() -> None:
    home = house(w=6, a=6)
    home.broken.add("a")
    home.steps({}, int(RULES.dwell_s) + 1)
    home.steps({"a": 1}, 6)
    ((left_s, _),) = home.displaced
    home.sizes.pop("a")

    while home.awake() != {"w"}:
        home.step({})
    assert home.now_s - left_s >= RULES.dwell_s


def test_models_that_always_run_come_first() -> None:
    home = house(w=6, big=6)
    home.steps({}, 5)
    home.always = ("big",)

    home.steps({}, 5)
    assert home.awake() == set()


def test_a_batch_wakes_its_model_into_free_room_for_as_long_as_it_has_lines() -> None:
    home = House({"w": 6, "a": 6}, background={"w"})
    home.steps({"a": 1}, int(RULES.dwell_s) + 1)
    assert home.awake() == {"a"}, "a batch moves nobody"
    assert stance(home.step({"a": 1}), "w").why == "wanted by a batch, and waits for room"

    home.steps({}, int(KEEP_ALIVE_S) + int(RULES.dwell_s) + 3)
    assert home.awake() == {"w"}
    home.steps({}, int(2 * KEEP_ALIVE_S))
    assert home.awake() == {"w"}, "it is not idle"
    home.background.clear()
    home.steps({}, int(KEEP_ALIVE_S) + 3)
    assert home.awake() == set()


LOADS = st.fixed_dictionaries({name: st.integers(0, 12) for name in "abvw"})
PHASES = st.lists(st.tuples(LOADS, st.integers(1, 60)), min_size=1, max_size=8)
WARM = st.sets(st.sampled_from("abvw"), min_size=1)


@settings(max_examples=15, deadline=None)
@given(PHASES, WARM, st.sampled_from([6, 10, 12, 15]))
def test_nobody_is_displaced_twice_in_one_dwell_time_and_all_that_is_awake_fits(
    phases: list[tuple[dict[str, int], int]], warm: set[str], room: int
) -> None:
    home = House({"a": 6, "b": 6, "v": 4, "w": 5}, room, warm=warm)
    for asked, seconds in phases:
        for _ in range(seconds):
            home.step(asked)
            assert sum(home.sizes[name] for name in home.awake()) <= room

    moments = sorted({at_s for at_s, _ in home.displaced})
    assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(moments))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 200), st.integers(1, 5), st.sets(st.sampled_from("vw"), min_size=1))
def test_who_is_asked_for_never_waits_for_a_warm_model_beyond_its_dwell(
    seconds: int, requests: int, warm: set[str]
) -> None:
    home = House({"a": 10, "v": 5, "w": 5}, warm=warm)
    home.steps({}, seconds + 1)
    asked_s = home.now_s
    while "a" not in home.awake():
        home.step({"a": requests})
        assert home.now_s - asked_s <= RULES.dwell_s + RULES.notice_s + 4


@settings(max_examples=15, deadline=None)
@given(PHASES, WARM)
def test_a_warm_model_is_awake_again_once_nobody_asks_for_anything(
    phases: list[tuple[dict[str, int], int]], warm: set[str]
) -> None:
    home = House({"a": 6, "b": 6, "v": 4, "w": 5}, warm=warm)
    for asked, seconds in phases:
        home.steps(asked, seconds)
    home.steps({}, int(KEEP_ALIVE_S + 2 * RULES.dwell_s))
    settled = home.awake()

    assert settled <= warm
    free = home.room - sum(home.sizes[name] for name in settled)
    assert all(home.sizes[name] > free for name in warm - settled)
