"""How much may wait: never more than the caps say, and nothing is left of those that went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.request import Asker
from router.waiting_caps import WaitingCaps, WaitingTally

CAPS = WaitingCaps(of_model=6, in_all=8, of_user=4, bytes_in_all=100, bytes_of_user=60)
ANNA, BEN = ("anna", None), ("front", "ben")


@pytest.mark.parametrize(
    ("waiting", "asked", "said"),
    [
        ([], (ANNA, 1, 6), "6 requests wait for it already"),
        ([(ANNA, 1)] * 4 + [(BEN, 1)] * 4, (("eve", None), 1, 0), "8 requests wait already"),
        ([(ANNA, 1)] * 4, (ANNA, 1, 0), "4 requests wait for this user already"),
        ([(ANNA, 50)], (ANNA, 11, 0), "requests of this user with 50 bytes wait already"),
        ([(ANNA, 50), (BEN, 45)], (("eve", None), 6, 0), "requests with 95 bytes wait already"),
        ([(ANNA, 50), (BEN, 45)], (BEN, 5, 5), None),
    ],
)
def test_what_stands_against_one_more_is_named(
    waiting: list[tuple[Asker, int]], asked: tuple[Asker, int, int], said: str | None
) -> None:
    tally = WaitingTally(CAPS)
    for user, size in waiting:
        tally.add(user, size)
    assert tally.why_not(*asked) == said


@given(st.lists(st.tuples(st.sampled_from([ANNA, BEN, ("eve", None)]), st.integers(0, 40), st.booleans())))
def test_caps_hold_whoever_comes_and_goes(steps: list[tuple[Asker, int, bool]]) -> None:
    tally = WaitingTally(CAPS)
    waiting: list[tuple[Asker, int]] = []
    for user, size, goes in steps:
        if goes and waiting:
            tally.remove(*waiting.pop(size % len(waiting)))
        elif tally.why_not(user, size, 0) is None:
            tally.add(user, size)
            waiting.append((user, size))
        assert len(waiting) <= CAPS.in_all
        assert sum(size for _, size in waiting) <= CAPS.bytes_in_all
        for user in (ANNA, BEN):
            own = [size for whose, size in waiting if whose == user]
            assert len(own) <= CAPS.of_user
            assert sum(own) <= CAPS.bytes_of_user
    for left in waiting:
        tally.remove(*left)
    assert tally.why_not(ANNA, CAPS.bytes_of_user, 0) is None
