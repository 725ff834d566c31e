"""What a simulated engine does with its requests, a step at a time."""

from hypothesis import given
from hypothesis import strategies as st

from nodes.engines.simulated_batch import Batch, Work
from nodes.rates import Rates

RATES = Rates(
    prefill=100.0, doubling_tokens=1000.0, step_s=0.1, step_per_request_s=0.01, step_per_token_s=0.001, chunk_tokens=50
)


def batch(slots: int = 2, context: int = 1000) -> Batch:
    return Batch(RATES, slots, context)


def work(prompt: int, answer: int, word: str = "a") -> Work:
    return Work((word,) * prompt, ("b",) * answer)


def step(made: Batch) -> float:
    following = made.next_step()
    assert following is not None
    made.done(following)
    return following.seconds


def run(made: Batch, *until: Work) -> float:
    seconds = 0.0
    while not all(one.is_done for one in until):
        seconds += step(made)
    return seconds


def test_the_last_part_of_a_prompt_brings_the_first_token() -> None:
    made, only = batch(), work(120, 3)
    made.put(only)

    assert [step(made), step(made)] == [RATES.read_s(0, 50), RATES.read_s(50, 100)]
    assert (only.read, only.written) == (100, 0)
    assert step(made) == RATES.read_s(100, 120)
    assert (only.read, only.written) == (120, 1)
    assert step(made) == RATES.decode_step_s(1, 121)


def test_a_short_prompt_costs_one_pass_through_the_weights() -> None:
    made = batch()
    made.put(work(1, 1))

    assert step(made) == RATES.step_s


def test_two_answers_together_take_little_longer_than_one() -> None:
    alone, first, second = work(1, 50), work(1, 50), work(1, 50)
    one, two = batch(), batch()
    one.put(alone)
    two.put(first)
    two.put(second)

    assert run(two, first, second) < 1.5 * run(one, alone)


def test_a_long_prompt_holds_nobody_up_for_longer_than_a_part_of_it() -> None:
    made, writer, reader = batch(), work(1, 20), work(500, 1)
    made.put(writer)
    step(made)
    made.put(reader)
    before = writer.written

    following = made.next_step()
    assert following is not None and following.part == RATES.chunk_tokens
    made.done(following)
    assert writer.written == before + 1


def test_who_comes_when_every_slot_is_taken_waits_for_its_turn() -> None:
    made = batch(slots=2)
    works = [work(10, 2) for _ in range(4)]
    for one in works:
        made.put(one)
    assert (made.running, made.waiting) == (2, 2)

    run(made, works[0], works[1])
    made.leave(works[1])
    made.leave(works[0])

    assert (made.running, made.waiting) == (2, 0)
    run(made, works[2], works[3])


def test_a_client_that_leaves_frees_its_slot_at_once_and_is_told_nothing_more() -> None:
    made, leaves, waits = batch(slots=1), work(10, 100), work(10, 1)
    made.put(leaves)
    made.put(waits)
    step(made)
    following = made.next_step()
    assert following is not None

    made.leave(leaves)

    assert made.done(following) == ()
    assert (made.running, made.waiting) == (1, 0)
    run(made, waits)
    assert leaves.written == 1


def test_a_conversation_that_goes_on_is_read_from_where_it_was() -> None:
    made = batch(slots=2)
    first = Work(("a",) * 80, ("b",) * 5)
    made.put(first)
    run(made, first)
    made.leave(first)
    other, following = Work(("x",) * 30, ("b",)), Work(("a",) * 80 + ("b",) * 5 + ("c",) * 10, ("b",))
    made.put(other)
    made.put(following)

    assert (other.cached, following.cached) == (0, 85)
    run(made, other, following)
    assert made.counts.prompt_tokens == 80 + 30 + 10


def test_of_a_prompt_that_is_known_whole_the_last_token_is_read_again() -> None:
    made = batch()
    for cached in (0, 79):
        again = work(80, 5)
        made.put(again)
        run(made, again)
        made.leave(again)
        assert again.cached == cached


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 30), st.booleans()), max_size=12), st.integers(1, 4))
def test_everybody_who_stays_gets_everything_and_no_slot_is_lost(
    asked: list[tuple[int, int, bool]], slots: int
) -> None:
    made = batch(slots, context=300)
    works = [(work(prompt, answer), leaves) for prompt, answer, leaves in asked]
    for one, _ in works:
        made.put(one)
        assert made.running <= slots
    for one, leaves in works:
        while not one.is_done and not (leaves and one.slot is not None):
            assert step(made) > 0
            assert 0 <= made.kv_used <= 1
        made.leave(one)

    assert all(leaves or one.written == len(one.answer) for one, leaves in works)
    assert (made.running, made.waiting, made.next_step()) == (0, 0, None)
