"""What an engine is believed to do, and how observation corrects it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.rates import Rates
from router.rates import LEAST_BIAS, MOST_BIAS, STEADY_GAIN, Bias

RATES = Rates(1000.0, 30_000.0, 0.01, 0.001, 1e-7)


def test_a_prompt_token_costs_twice_as_much_where_it_is_said_to() -> None:
    assert RATES.read_s(0, 1000) < 1.02
    assert 1.95 < RATES.read_s(29_500, 30_500) / RATES.read_s(0, 1000) < 2.01


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_a_prompt_read_in_two_parts_takes_as_long_as_in_one(first: int, second: int, third: int) -> None:
    parts = RATES.read_s(first, first + second) + RATES.read_s(first + second, first + second + third)

    assert abs(parts - RATES.read_s(first, first + second + third)) < 1e-9


def test_a_machine_that_is_half_as_fast_as_believed_is_known_within_a_few_dozen_requests() -> None:
    bias = Bias()
    for _ in range(25):
        bias = bias.after_prefill(2.0 / bias.prefill)
        bias = bias.after_decode(2.0 / bias.decode)

    assert abs(bias.prefill - 2.0) < 0.1
    assert abs(bias.decode - 2.0) < 0.1


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), max_size=200))
def test_no_observations_move_it_out_of_bounds(ratios: list[float]) -> None:
    bias = Bias()
    for ratio in ratios:
        bias = bias.after_prefill(ratio).after_decode(ratio)

    assert LEAST_BIAS <= bias.prefill <= MOST_BIAS
    assert LEAST_BIAS <= bias.decode <= MOST_BIAS


def test_one_absurd_observation_among_many_moves_it_by_its_gain_at_most() -> None:
    bias = Bias()
    for _ in range(100):
        bias = bias.after_prefill(1.0)

    assert abs(bias.after_prefill(1e9).prefill - 2.0**STEADY_GAIN) < 1e-9
