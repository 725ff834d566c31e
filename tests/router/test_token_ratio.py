from hypothesis import given
from hypothesis import strategies as st

from router.token_ratio import MOST_KEYS, TokenRatios, event_ratio, prompt_ratio


def test_four_characters_are_a_token_until_something_else_was_seen() -> None:
    ratio = prompt_ratio()

    assert [ratio.tokens_of("toy", characters) for characters in (0, 1, 4, 4000)] == [0, 1, 1, 1000]


def test_a_model_is_known_by_what_its_engines_counted_and_no_other_by_it() -> None:
    ratio = prompt_ratio()
    for _ in range(100):
        ratio.learn("chinese", 1000, 1200)

    assert 1150 <= ratio.tokens_of("chinese", 1000) <= 1200
    assert ratio.tokens_of("toy", 1000) == 250


def test_what_a_model_is_asked_of_late_outweighs_what_it_was_asked_before() -> None:
    ratio = prompt_ratio()
    for tokens in [1000] * 500 + [250] * 500:
        ratio.learn("toy", 1000, tokens)

    assert ratio.tokens_of("toy", 1000) < 260


def test_one_event_is_one_token_where_that_was_always_so() -> None:
    ratio = event_ratio()
    for length in range(1, 200):
        ratio.learn("toy-1", length + 1, length)  # a last event that only says why it ended

    assert [ratio.tokens_of("toy-1", events) for events in (1, 7, 800)] == [1, 7, 800]


def test_an_engine_that_puts_two_tokens_into_an_event_is_found_out() -> None:
    ratio = event_ratio()
    for _ in range(100):
        ratio.learn("toy-1", 100, 200)

    assert 190 <= ratio.tokens_of("toy-1", 100) <= 200


def test_the_keys_seen_last_are_kept() -> None:
    ratio = prompt_ratio()
    for number in range(MOST_KEYS + 1):
        ratio.learn("steady", 1000, 1000)
        ratio.learn(f"model-{number}", 100_000, 100_000)

    assert ratio.tokens_of("model-0", 1000) == 250
    assert ratio.tokens_of(f"model-{MOST_KEYS}", 1000) > 900
    assert ratio.tokens_of("steady", 1000) > 900


@given(st.lists(st.tuples(st.integers(-5, 10**9), st.integers(-5, 10**9))), st.integers(-5, 10**9))
def test_whatever_was_learnt_an_estimate_stays_within_its_bounds(seen: list[tuple[int, int]], amount: int) -> None:
    ratios = TokenRatios()
    for characters, tokens in seen:
        ratios.prompts.learn("toy", characters, tokens)

    tokens = ratios.prompts.tokens_of("toy", amount)
    assert (tokens == 0) if amount <= 0 else (max(1, amount // 16) <= tokens <= max(1, amount * 4))
