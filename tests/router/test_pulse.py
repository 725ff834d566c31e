from hypothesis import given
from hypothesis import strategies as st

from nodes.snapshot import EngineId
from router.pulse import Pulse, hangs, measured_rate, silence_limit_s

ENGINE = EngineId("toy-1")
seconds = st.floats(0.001, 1e5)
rates = st.none() | st.floats(0.1, 1e6)
tokens = st.integers(0, 1_000_000)


def test_a_short_prompt_has_half_a_minute_and_a_long_one_four_times_what_it_should_take() -> None:
    assert silence_limit_s(30, 100, None) == 30
    assert silence_limit_s(30, 8192, 100.0) == 4 * 81.92
    assert silence_limit_s(30, 8192, None) == 4 * 8192 / 20


def test_an_answer_that_is_not_streamed_hangs_only_when_counters_prove_it() -> None:
    assert hangs(31, 30, None, streamed=True)
    assert not hangs(600, 30, None, streamed=False)
    assert not hangs(600, 30, 1.0, streamed=False)
    assert hangs(600, 30, 31.0, streamed=False)


def test_counters_that_move_vouch_for_a_silent_stream() -> None:
    assert not hangs(100, 12, 2.0, streamed=True)
    assert hangs(12.1, 12, 10.0, streamed=True)


def test_one_stream_that_moves_is_a_sign_of_life_for_all_of_its_engine() -> None:
    pulse = Pulse()
    pulse.sign(ENGINE, 50.0)

    assert pulse.silence(ENGINE, since_s=10.0, now_s=60.0) == 10.0
    assert pulse.silence(ENGINE, since_s=55.0, now_s=60.0) == 5.0
    assert pulse.silence(EngineId("other"), since_s=10.0, now_s=60.0) == 50.0


def test_counters_grow_old_and_then_say_nothing() -> None:
    pulse = Pulse()
    pulse.follow([(ENGINE, 3.0)], frozenset(), now_s=100.0)

    assert pulse.counters_age_s(ENGINE, 102.0) == 5.0
    assert pulse.counters_age_s(ENGINE, 106.0) is None
    pulse.follow([(ENGINE, None)], frozenset(), now_s=107.0)
    assert pulse.counters_age_s(ENGINE, 107.0) is None, "an idle engine's counters prove nothing"


def test_all_prompts_that_an_engine_has_yet_to_read_count() -> None:
    pulse = Pulse()
    pulse.begin_sweep()
    pulse.waits(ENGINE, 1000)
    pulse.waits(ENGINE, 1000)
    waiting = pulse.limit_s(ENGINE, 12.0)
    pulse.begin_sweep()

    assert (waiting, pulse.limit_s(ENGINE, 12.0)) == (400.0, 12.0)


def test_short_prompts_measure_no_rate_and_a_cached_one_raises_it_little() -> None:
    assert measured_rate(None, 100, 1.0) is None
    slow = measured_rate(None, 1000, 10.0)
    assert slow == 100.0
    assert measured_rate(slow, 1000, 0.01) == 102.0
    assert measured_rate(slow, 1000, 20.0) == 50.0


# --- laws


@given(st.floats(1, 60), tokens, rates)
def test_the_limit_is_never_below_its_floor_nor_below_four_predictions(
    floor_s: float, waiting: int, rate: float | None
) -> None:
    limit_s = silence_limit_s(floor_s, waiting, rate)

    assert limit_s >= floor_s
    if rate is not None:
        assert limit_s >= 4 * waiting / rate
        assert limit_s == floor_s or limit_s == 4 * waiting / rate


@given(st.lists(st.tuples(st.integers(256, 100_000), seconds), min_size=1, max_size=50))
def test_no_prompt_as_slow_as_one_seen_before_is_ever_cut(prompts: list[tuple[int, float]]) -> None:
    """The slowest prompt of the last 50 may come again, four times as slow as then is too slow at the earliest."""
    rate: float | None = None
    for count, took_s in prompts:
        rate = measured_rate(rate, count, took_s)
    slowest = min(count / took_s for count, took_s in prompts)

    assert rate is not None
    assert slowest * 0.99 <= rate <= slowest * 1.02**50 * 1.01
    assert silence_limit_s(30, 4096, rate) > 4096 / slowest


@given(seconds, seconds, st.none() | seconds, st.booleans())
def test_whoever_is_silent_for_longer_is_never_more_alive(
    quiet_s: float, limit_s: float, age_s: float | None, streamed: bool
) -> None:
    if hangs(quiet_s, limit_s, age_s, streamed):
        assert quiet_s > limit_s
        assert hangs(quiet_s + 1, limit_s, age_s, streamed)
        assert age_s is None or hangs(quiet_s, limit_s, age_s + 1, streamed)
