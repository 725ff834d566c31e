"""Beginnings of prompts that an engine probably still has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from router.prefix_index import PrefixIndex, chain_of


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


def test_nothing_is_left_once_its_engine_started_anew() -> None:
    index = PrefixIndex(1000)
    index.insert((1, 2, 3))
    index.clear()

    assert index.match((1, 2, 3)) == 0
