"""Hours of the week, from text to open or not."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.hours import DAYS, Opening, is_open, opens_at, parse_hours

MONDAY = datetime.fromisoformat("2026-11-23")  # naive: on whatever wall the clock hangs


@pytest.mark.parametrize(
    ("text", "open_at", "shut_at"),
    [
        ("mon-fri 08:00-16:00", ["mon 08:00", "fri 15:59"], ["mon 07:59", "fri 16:00", "sat 12:00"]),
        ("sat,sun 10:00-24:00", ["sat 23:59", "sun 10:00"], ["mon 00:00", "fri 12:00"]),
        ("fri 22:00-02:00", ["fri 22:00", "sat 01:59"], ["sat 02:00", "fri 01:00"]),
        ("sun 23:00-01:00", ["sun 23:30", "mon 00:30"], ["mon 01:00", "sat 23:30"]),
        ("fri-mon 00:00-24:00", ["fri 00:00", "sun 12:00", "mon 23:59"], ["tue 00:00", "thu 23:59"]),
    ],
)
def test_hours_hold_what_people_mean(text: str, open_at: list[str], shut_at: list[str]) -> None:
    openings = parse_hours(text)

    assert all(is_open(openings, moment(words)) for words in open_at)
    assert not any(is_open(openings, moment(words)) for words in shut_at)


@pytest.mark.parametrize("text", ["", "always", "mon 8-16", "mon 08:00", "mon 25:00-26:00", "mon 08:60-09:00"])
def test_what_is_no_time_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ValueError, match=r"mon-fri 08:00-16:00|24:00"):
        parse_hours(text)


@pytest.mark.parametrize("text", ["mon 08:00-08:00", "mon 24:00-02:00", "monday 08:00-09:00", "mon-xyz 08:00-09:00"])
def test_hours_without_length_or_with_another_name_of_a_day_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours of the week|length|none of"):
        parse_hours(text)


@given(
    st.sampled_from(DAYS),
    st.integers(0, 23),
    st.integers(1, 24),
    st.timedeltas(timedelta(0), timedelta(days=1000)),
)
def test_the_next_opening_is_open_and_nothing_between_is(day: str, begin: int, length: int, later: timedelta) -> None:
    now = MONDAY + later
    openings = parse_hours(f"{day} {begin:02}:00-{min(24, begin + length):02}:00")
    opens = opens_at(openings, now)

    assert now < opens <= now + timedelta(days=8)
    assert is_open(openings, opens)
    if not is_open(openings, now):
        assert not is_open(openings, opens - timedelta(minutes=1))


def test_an_opening_is_by_the_clock_on_the_wall_when_clocks_are_set_forward() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 3, 28, 20, tzinfo=berlin)  # clocks go from 2:00 to 3:00 at the end of it
    opens = opens_at((Opening(6, 8 * 60, 9 * 60),), night)

    assert (opens.hour, opens.timestamp() - night.timestamp()) == (8, 11 * 3600)


def moment(words: str) -> datetime:
    day, clock = words.split()
    hour, minute = clock.split(":")
    return MONDAY + timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))
