"""The accounts of keys, users and groups, under a clock that the test moves."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.key_order import OWNER
from cluster.limits import NO_LIMITS, GroupLimits, LimitRules, Limits
from cluster.roles import SCOPES_OF
from cluster.snapshot import AccessSnapshot, KeyRecord
from router.errors import ApiError
from router.limit_counts import day_of
from router.limit_headers import span_text
from router.limits import OUTPUT_TOKENS, LimitDesk, Permit
from router.request import Identity
from router.usage_reading import Consumer, Used
from support.manual_clock import ManualClock

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=BERLIN).timestamp()
ANNA = Identity("a1", "default", "7b", "user", "private", SCOPES_OF["user"])
BEN = Identity("b1", "default", "7b", "user", "private", SCOPES_OF["user"])
WEBUI = Identity("w1", "default", "7b", "user", "private", SCOPES_OF["user"], front_end=True)


def desk(
    own: Limits = NO_LIMITS, total: Limits = NO_LIMITS, each: Limits = NO_LIMITS, wall_s: float = MONDAY_NOON
) -> tuple[LimitDesk, ManualClock]:
    """Of keys a1 and w1, with limits of their own, in a group with its."""
    clock = ManualClock(wall_s=wall_s)
    made = LimitDesk(clock)
    made.follow(access(own, LimitRules("Europe/Berlin", groups=(("7b", GroupLimits(total, each)),))))
    return made, clock


def access(own: Limits, rules: LimitRules) -> AccessSnapshot:
    keys = tuple(KeyRecord(key, "", "user", "default", "7b", "private", 0, limits=own) for key in ("a1", "w1"))
    return AccessSnapshot(1, 1, 1, "", keys, limits=rules)


def admit(made: LimitDesk, who: Identity = ANNA, prompt: int = 10, output: int | None = 10) -> Permit:
    permit = made.admit(who, prompt, output)
    assert permit is not None
    return permit


def refusal(made: LimitDesk, who: Identity = ANNA, prompt: int = 10, output: int | None = 10) -> ApiError:
    with pytest.raises(ApiError) as caught:
        made.admit(who, prompt, output)
    assert caught.value.status == 429
    return caught.value


def headers(permit: Permit) -> dict[str, str]:
    lines = permit.header_lines().decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines if line)


def test_nobody_pays_for_limits_that_are_not_set() -> None:
    assert desk()[0].admit(ANNA, 10, 10) is None


def test_a_limit_of_requests_holds_in_any_60_seconds_and_says_when_there_is_room() -> None:
    made, clock = desk(Limits(requests_per_minute=2))
    admit(made).settle(20)
    clock.advance(30)
    admit(made).settle(20)

    error = refusal(made)
    assert "this key has used its 2 requests per minute" in error.message
    assert error.retry_after_s is not None
    clock.advance(error.retry_after_s - 1.5)
    refusal(made)
    clock.advance(1.5)
    admit(made)
    assert refusal(made).retry_after_s in (29, 30)


def test_the_group_is_counted_together_and_named_when_it_is_in_the_way() -> None:
    made, _ = desk(total=Limits(requests_per_minute=3))
    for who in (ANNA, BEN, ANNA):
        admit(made, who).settle(5)
    assert "the group 7b has used its 3 requests per minute" in refusal(made, BEN).message


def test_requests_at_a_time_end_when_they_are_settled_however_often_that_is_said() -> None:
    made, _ = desk(Limits(concurrency=2))
    first, _ = admit(made), admit(made)
    error = refusal(made)
    assert (error.retry_after_s, error.param) == (1, "concurrency")
    first.settle(5)
    first.settle(5)
    admit(made)
    refusal(made)


def test_tokens_are_reserved_at_admission_and_settled_at_the_end() -> None:
    made, clock = desk(Limits(tokens_per_minute=1000))
    permit = admit(made, prompt=400, output=500)
    assert headers(permit)["x-ratelimit-remaining-tokens"] == "100"
    assert "tokens per minute" in refusal(made, prompt=50, output=100).message
    permit.settle(450)
    second = admit(made, prompt=50, output=100)
    assert headers(second)["x-ratelimit-remaining-tokens"] == "400"
    clock.advance(61)
    assert headers(second)["x-ratelimit-remaining-tokens"] == "850"


def test_an_answer_of_unknown_length_reserves_a_usual_one() -> None:
    made, _ = desk(Limits(tokens_per_minute=5000))
    assert headers(admit(made, prompt=100, output=None))["x-ratelimit-remaining-tokens"] == str(4900 - OUTPUT_TOKENS)


def test_each_answer_of_a_request_reserves_as_much() -> None:
    made, _ = desk(Limits(tokens_per_minute=5000))
    permit = made.admit(ANNA, 100, 50, answers=4)
    assert permit is not None
    assert headers(permit)["x-ratelimit-remaining-tokens"] == str(4900 - 200)


def test_a_request_that_may_take_more_than_the_limit_is_taken_when_nothing_else_counts() -> None:
    made, _ = desk(Limits(tokens_per_minute=500))
    admit(made, prompt=100, output=900)
    refusal(made, prompt=1, output=1)


def test_a_prompt_longer_than_the_limit_is_told_that_waiting_does_not_help() -> None:
    made, _ = desk(Limits(tokens_per_minute=500))
    error = refusal(made, prompt=501)
    assert "this prompt alone is longer than the 500 tokens per minute" in error.message
    assert error.retry_after_s is None
    assert ("x-should-retry", "false") in error.headers()


def test_a_day_ends_at_midnight_of_the_time_zone_that_is_named() -> None:
    made, clock = desk(Limits(tokens_per_day=100, requests_per_day=5))
    admit(made, output=5).settle(100)
    error = refusal(made)
    assert error.retry_after_s == 12 * 3600
    assert ("x-should-retry", "false") in error.headers()
    clock.advance(12 * 3600 - 1)
    refusal(made)
    clock.advance(1)
    assert headers(admit(made, prompt=1, output=1))["x-ratelimit-remaining-requests"] == "4"


@pytest.mark.parametrize(("local", "hours"), [((2026, 3, 28, 23), 1), ((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_has_as_many_hours_as_the_clocks_give_it(local: tuple[int, int, int], hours: int) -> None:
    made, clock = desk(Limits(requests_per_day=1), wall_s=datetime(*local, tzinfo=BERLIN).timestamp())
    admit(made)
    assert refusal(made).retry_after_s == hours * 3600
    clock.advance(hours * 3600 - 1)
    refusal(made)
    clock.advance(1)
    admit(made)


@given(st.floats(0, 4e9), st.sampled_from(["Europe/Berlin", "Asia/Tehran", "America/Santiago", "Pacific/Apia", "UTC"]))
def test_a_day_is_what_is_between_two_midnights(wall_s: float, zone: str) -> None:
    day = day_of(wall_s, ZoneInfo(zone))
    assert day.holds(wall_s)
    assert not day.holds(day.ends_s)
    for inside_s in (day.begins_s, day.ends_s - 1):
        assert day_of(inside_s, ZoneInfo(zone)) == day
    assert day_of(day.ends_s, ZoneInfo(zone)).begins_s == day.ends_s


def test_another_time_zone_counts_from_its_own_midnight() -> None:
    made, _ = desk(Limits(requests_per_day=1))
    admit(made)
    made.follow(access(Limits(requests_per_day=1), LimitRules("Asia/Tokyo")))
    assert refusal(made).retry_after_s == 4 * 3600


def test_outside_its_hours_a_key_hears_when_they_begin() -> None:
    made, clock = desk(Limits(hours=("mon-fri 13:00-14:00",)))
    error = refusal(made)
    assert (error.code, error.retry_after_s) == ("outside_hours", 3600)
    assert "try again in 1h0m0s" in error.message
    clock.advance(3600)
    admit(made)


def test_each_user_of_a_front_end_is_counted_alone_and_all_of_them_by_its_own_limits() -> None:
    made, _ = desk(own=Limits(requests_per_minute=3), each=Limits(requests_per_minute=2))
    users = [user_of_front_end(name) for name in ("ina", "ina", "jan")]
    for user in users:
        admit(made, user)
    assert "this user has used its 2 requests" in refusal(made, user_of_front_end("ina")).message
    assert "this key has used its 3 requests" in refusal(made, user_of_front_end("kim")).message


def test_the_owner_has_no_limits() -> None:
    made, _ = desk()
    made.follow(access(NO_LIMITS, LimitRules(each=Limits(requests_per_minute=1))))
    owner = Identity("o1", OWNER, OWNER, "admin", "private", SCOPES_OF["admin"])
    assert [made.admit(owner, 1, 1) for _ in range(3)] == [None] * 3


def test_limits_that_change_keep_what_was_counted() -> None:
    made, _ = desk(Limits(requests_per_minute=2))
    admit(made)
    admit(made)
    made.follow(access(Limits(requests_per_minute=3), LimitRules()))
    admit(made)
    assert "its 3 requests per minute" in refusal(made).message


def test_a_limit_that_was_lowered_is_waited_for_until_there_is_room_under_it() -> None:
    made, clock = desk(Limits(requests_per_minute=3))
    for _ in range(3):
        admit(made)
        clock.advance(10)
    made.follow(access(Limits(requests_per_minute=1), LimitRules()))
    waited_s = refusal(made).retry_after_s
    assert waited_s is not None
    clock.advance(waited_s - 2)
    refusal(made)
    clock.advance(2)
    admit(made)


def test_a_gateway_that_starts_again_knows_what_was_used_today() -> None:
    made, clock = desk(Limits(tokens_per_day=1000), total=Limits(requests_per_day=10))
    assert made.midnight_s() == MONDAY_NOON - 12 * 3600
    made.restore({
        Consumer("default", "7b", "a1", None): Used(4, 990),
        Consumer("default", "7b", "b1", None): Used(5, 50),
        Consumer("other", "7b", "x1", None): Used(9, 9),
    })  # fmt: skip
    admit(made, prompt=5, output=5).settle(10)
    assert "tokens per day" in refusal(made, ANNA, 1, 1).message
    assert "10 requests per day" in refusal(made, BEN, 1, 1).message
    clock.advance(12 * 3600)
    admit(made, BEN)


def test_the_tightest_limit_is_shown_in_both_dialects() -> None:
    made, _ = desk(Limits(requests_per_minute=50, tokens_per_day=9000), total=Limits(requests_per_day=20))
    shown = headers(admit(made, prompt=100, output=100))
    assert {name: value for name, value in shown.items() if name.startswith("x-")} == {
        "x-ratelimit-limit-requests": "20",
        "x-ratelimit-remaining-requests": "19",
        "x-ratelimit-reset-requests": "12h0m0s",
        "x-ratelimit-limit-tokens": "9000",
        "x-ratelimit-remaining-tokens": "8800",
        "x-ratelimit-reset-tokens": "12h0m0s",
    }
    assert shown["anthropic-ratelimit-requests-remaining"] == "19"
    assert shown["anthropic-ratelimit-tokens-reset"] == "2026-11-23T23:00:00Z"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1s"), (60, "1m0s"), (61.5, "1m2s"), (3600, "1h0m0s")])
def test_spans_are_written_as_clients_read_them(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


Step = tuple[float, int, int, int]
steps = st.lists(
    st.tuples(st.floats(0, 25), st.integers(0, 300), st.integers(1, 400), st.integers(0, 500)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(1, 6), st.integers(1, 4), st.integers(50, 800))
def test_no_minute_holds_more_than_its_limit_but_for_tokens_that_were_in_flight(
    asked: list[Step], requests: int, at_a_time: int, tokens: int
) -> None:
    made, clock = desk(Limits(requests_per_minute=requests, concurrency=at_a_time, tokens_per_minute=tokens))
    taken_s: list[float] = []
    spent: list[tuple[float, int]] = []
    running: list[tuple[Permit, int]] = []
    for pause_s, prompt, output, truth in asked:
        clock.advance(pause_s)
        now_s = clock.monotonic_s()
        try:
            permit = admit(made, prompt=prompt, output=output)
        except ApiError:
            if running:
                ended, took = running.pop(0)
                ended.settle(took)
                spent.append((now_s, took))
            continue
        recent = sum(took for at_s, took in spent if at_s > now_s - 60)
        assert recent < tokens or recent == 0
        taken_s.append(now_s)
        running.append((permit, truth))
        assert len(running) <= at_a_time
    for permit, took in running:
        permit.settle(took)
    assert all(later - earlier >= 60 for earlier, later in zip(taken_s, taken_s[requests:], strict=False))
    clock.advance(2 * 24 * 3600)
    assert headers(admit(made, prompt=0, output=1))["x-ratelimit-remaining-requests"] == str(requests - 1)


def user_of_front_end(name: str) -> Identity:
    return msgspec.structs.replace(WEBUI, user=name)
