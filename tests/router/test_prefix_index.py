"""Beginnings of prompts that an engine probably still has."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from router.prefix_index import LEAST_KEPT, MOST_KEPT, PrefixIndex, chain_of


def test_the_longest_common_beginning_is_found_in_whole_blocks() -> None:
    index = PrefixIndex(10_000, block_tokens=64)
    index.insert(chain_of("school", b"x" * 1000, 256))

    assert index.match(chain_of("school", b"x" * 1000 + b"more", 256)) == 3 * 64
    assert index.match(chain_of("school", b"x" * 512 + b"y" * 512, 256)) == 2 * 64
    assert index.match(chain_of("school", b"y" + b"x" * 1000, 256)) == 0


def test_a_tenant_learns_nothing_of_what_another_asked() -> None:
    index = PrefixIndex(10_000)
    index.insert(chain_of("school", b"x" * 1000, 256))

    assert index.match(chain_of("office", b"x" * 1000, 256)) == 0


def test_a_text_that_ends_within_a_block_has_only_its_whole_blocks() -> None:
    assert chain_of("school", b"x" * 255, 256) == ()
    assert len(chain_of("school", b"x" * 256, 256)) == 1


def test_the_index_holds_a_little_less_than_the_cache_and_lets_the_oldest_go() -> None:
    index = PrefixIndex(10 * 64, block_tokens=64)
    index.insert(tuple(range(6)))
    index.insert(tuple(range(100, 106)))

    assert len(index) == 9
    assert index.match(tuple(range(100, 106))) == 6 * 64
    assert index.match(tuple(range(6))) == 3 * 64  # ends go before beginnings


def test_a_prompt_longer_than_the_cache_leaves_its_beginning() -> None:
    index = PrefixIndex(10 * 64, block_tokens=64)
    index.insert(tuple(range(50)))

    assert index.match(tuple(range(50))) == 9 * 64


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=20, unique=True), max_size=30))
def test_it_never_holds_more_than_it_may(chains: list[list[int]]) -> None:
    index = PrefixIndex(12 * 64, block_tokens=64)
    for chain in chains:
        index.insert(chain)

        assert len(index) <= 10
        assert index.match(chain) <= len(chain) * 64


def serve(index: PrefixIndex, cache: PrefixIndex, turns: int) -> None:
    """Sessions that grow turn by turn, in any order, on an engine that really has such a cache and says so."""
    random, lengths = Random(7), [0] * 12
    for _ in range(turns):
        session = random.randrange(12)
        lengths[session] = lengths[session] + 2 if lengths[session] < 20 else 2
        chain = [(session, block) for block in range(lengths[session])]
        kept, known, cached = index.kept_tokens, index.insert(chain), cache.insert(chain)
        index.told(known, cached, kept)


def test_a_cache_that_is_smaller_or_larger_than_it_is_said_to_be_is_found_out() -> None:
    for told_blocks in (75, 100, 150, 400):
        index = PrefixIndex(told_blocks * 64, block_tokens=64)
        serve(index, PrefixIndex(100 * 64, block_tokens=64, caution=1.0), 4000)

        assert 0.75 < index.kept_tokens / (100 * 64) < 1.2, told_blocks


def test_what_was_missing_shrinks_the_cache_and_what_was_there_beyond_belief_lets_it_rise_slowly() -> None:
    index = PrefixIndex(100_000)
    index.told(known=40_000, cached=10_000, kept_then=100_000)
    assert index.kept_tokens == 70_000

    index.told(known=0, cached=32_000, kept_then=70_000)
    assert index.kept_tokens == 71_000


def test_requests_that_were_sent_with_the_same_belief_say_the_same_and_not_each_a_little_more() -> None:
    index = PrefixIndex(100_000)
    for _ in range(8):
        index.told(known=30_000, cached=0, kept_then=100_000)

    assert index.kept_tokens == 70_000


def test_what_counts_tokens_a_little_otherwise_says_nothing_of_a_cache() -> None:
    index = PrefixIndex(100_000)
    index.told(known=10_000, cached=8_000, kept_then=100_000)
    index.told(known=10_000, cached=12_000, kept_then=100_000)
    index.told(known=64, cached=0, kept_then=100_000)

    assert index.kept_tokens == 100_000


TOLD = st.tuples(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(0, 200_000))


@settings(deadline=None)
@given(st.lists(TOLD, max_size=60))
def test_a_cache_stays_within_bounds_whatever_it_is_told(told: list[tuple[int, int, int]]) -> None:
    index = PrefixIndex(64_000)
    index.insert(tuple(range(900)))
    for one in told:
        index.told(*one)

        assert LEAST_KEPT <= index.kept <= MOST_KEPT
        assert len(index) * 64 <= max(index.kept_tokens, 64)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=30), st.integers(1, 20))
def test_as_much_of_a_prompt_is_found_as_is_there_block_by_block(prompts: list[bytes], room: int) -> None:
    index, oldest_first = PrefixIndex(room, block_tokens=1, caution=1.0), list[int]()
    for prompt in prompts:
        chain = chain_of("school", prompt, 1)
        there = 0
        while there < len(chain) and chain[there] in oldest_first:
            there += 1
        assert index.match(chain) == there
        index.insert(chain)
        oldest_first = [block for block in oldest_first if block not in chain] + list(reversed(chain))
        del oldest_first[: -len(index)]
