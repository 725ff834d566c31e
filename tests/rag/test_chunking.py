"""Texts in chunks: nothing is lost, every place is right, and none is a leftover."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.knowledge import Chunking, Locator
from rag.chunking import JOIN, LEAST, MOST, TOKEN, Block, cut

PROSE = st.text(st.sampled_from("abcñ é.\n#*- 日"), max_size=3 * MOST)
BLOCKS = st.lists(
    st.builds(
        Block, PROSE, st.sampled_from([Locator(), Locator("page", "3")]), st.sampled_from(["", "One"]), st.booleans()
    ),
    max_size=6,
)


@given(BLOCKS)
def test_every_chunk_stands_in_the_text_where_it_says_and_none_overlap(blocks: list[Block]) -> None:
    made = cut(blocks)

    assert all(made.text[chunk.start : chunk.end] == chunk.text for chunk in made.chunks)
    assert all(one.end <= other.start for one, other in zip(made.chunks, made.chunks[1:], strict=False))
    assert all(0 < len(chunk.text) <= MOST for chunk in made.chunks)


@given(BLOCKS)
def test_no_letter_is_lost(blocks: list[Block]) -> None:
    made = cut(blocks)
    kept = "".join("".join(chunk.text.split()) for chunk in made.chunks)

    assert kept == "".join("".join(block.text.split()) for block in blocks)


def test_a_chunk_never_reaches_over_two_pages() -> None:
    made = cut([Block("First page.", Locator("page", "1")), Block("Second page.", Locator("page", "2"))])

    assert [(chunk.text, str(chunk.locator)) for chunk in made.chunks] == [
        ("First page.", "page 1"),
        ("Second page.", "page 2"),
    ]
    assert made.text == f"First page.{JOIN}Second page."


def test_lines_without_a_place_are_joined_under_their_heading() -> None:
    made = cut([Block("one", heading="A"), Block("two", heading="A"), Block("  "), Block("three", heading="B")])

    assert [(chunk.text, chunk.heading) for chunk in made.chunks] == [(f"one{JOIN}two", "A"), ("three", "B")]


def test_a_heading_stays_with_what_it_is_the_heading_of() -> None:
    text = "# Título\n\nUn párrafo corto.\n\n## Otro\n\n" + "Frase de prueba. " * 60
    made = cut([Block(text, markdown=True)])

    assert made.chunks[0].text.startswith("# Título")
    assert all(len(chunk.text) >= LEAST for chunk in made.chunks)


def test_a_chunk_of_lines_is_found_at_the_line_where_it_begins() -> None:
    text = "\n".join(f"line {number} says something that is worth a sentence of its own." for number in range(5, 205))
    made = cut([Block(text, Locator("line", "5"))])

    assert len(made.chunks) > 5
    assert [chunk.locator.kind for chunk in made.chunks] == ["line"] * len(made.chunks)
    assert all(chunk.text.startswith(f"line {chunk.locator.value} says") for chunk in made.chunks)


@given(BLOCKS, st.integers(1, 2_000), st.integers(0, 3_000))
def test_chunks_are_as_long_and_overlap_as_much_as_one_asks_for(
    blocks: list[Block], most_tokens: int, overlap_tokens: int
) -> None:
    made = cut(blocks, Chunking(most_tokens, overlap_tokens))

    assert all(made.text[chunk.start : chunk.end] == chunk.text for chunk in made.chunks)
    assert all(0 < len(chunk.text) <= most_tokens * TOKEN for chunk in made.chunks)
    overlaps = [one.end - other.start for one, other in zip(made.chunks, made.chunks[1:], strict=False)]
    assert max(overlaps, default=0) <= min(overlap_tokens, most_tokens // 2) * TOKEN + TOKEN


def test_an_overlap_repeats_the_end_of_the_chunk_before() -> None:
    made = cut([Block("A sentence of some words. " * 200)], Chunking(100, 25))

    assert all(one.end > other.start for one, other in zip(made.chunks, made.chunks[1:], strict=False))


def test_a_megabyte_without_a_pause_is_cut_like_any_other() -> None:
    made = cut([Block("x" * 1_000_000)])

    assert "".join(chunk.text for chunk in made.chunks) == "x" * 1_000_000
    assert max(len(chunk.text) for chunk in made.chunks) <= MOST
