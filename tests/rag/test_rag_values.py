"""The pure parts of the room: words, filters, fusion, the matrix."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.knowledge import Attribute
from rag.filters import MOST_CONDITIONS, FilterError, matches, read_filter
from rag.fusion import fuse
from rag.stores.matrix import SEGMENTS, STORED, Matrix, segment_of
from rag.values import SpaceId, chunk_id_of, document_id_of
from rag.words import Word, any_of, places_of, telling, words_of

SCORES = st.dictionaries(st.integers(0, 20), st.floats(-5, 5), max_size=12)


def test_words_are_folded_as_the_index_folds_them_and_long_ones_are_cut() -> None:
    assert words_of("El Niño comió; ¡CIUDADES y ciudadanos! niño") == (
        Word("el", True), Word("nino", True), Word("comio", True), Word("ciudad", False), Word("y", True),
    )  # fmt: skip


def test_a_word_of_the_index_own_language_is_a_word_like_others() -> None:
    assert any_of(words_of('near OR "quoted" universities')) == '"near" OR "or" OR "quoted" OR "univer"*'


def test_words_are_marked_where_they_stand_in_every_form_and_spelling() -> None:
    text = "La CIUDAD, las ciudades; el nin\u0303o y NIÑOS, 🌍 straße: Ciudadela."
    found = [text[first:last] for first, last in places_of({"ciudad", "nino", "strass"}, text)]

    assert found == ["CIUDAD", "ciudades", "nin\u0303o", "straße", "Ciudadela"]
    assert places_of(set(), text) == ()


def test_the_rarest_words_decide_and_common_ones_as_far_as_they_cost_little() -> None:
    common, often, rare, absent = (Word(one, True) for one in ("the", "river", "thames", "xyzzy"))
    found = {common: 90_000, often: 9_000, rare: 3}

    assert telling((common, often, rare, absent), found) == (rare, often)
    assert telling((common, absent), found) == (common,)
    assert telling((absent,), found) == ()


@given(SCORES, SCORES, st.floats(0, 1))
def test_what_is_best_both_ways_is_first_and_every_score_lies_between_0_and_1(
    cosines: dict[int, float], bm25s: dict[int, float], alpha: float
) -> None:
    found = fuse(cosines, bm25s, alpha)

    assert {one.key for one in found} == cosines.keys() | bm25s.keys()
    assert all(0.0 <= one.score <= 1.0 + 1e-9 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    if cosines and bm25s and found:
        both = {max(cosines, key=lambda key: cosines[key])} & {max(bm25s, key=lambda key: bm25s[key])}
        assert not both or found[0].score == pytest.approx(1.0)


def test_fusion_is_that_of_weaviate_by_its_own_example() -> None:
    """From the description of relative-score fusion: lists are stretched by themselves, then weighted and added."""
    found = fuse({1: 0.9, 2: 0.5, 3: 0.1}, {3: 12.0, 4: 8.0, 2: 4.0}, alpha=0.5)

    assert [(one.key, round(one.score, 3)) for one in found] == [(1, 0.5), (3, 0.5), (2, 0.25), (4, 0.25)]
    assert (found[0].cosine, found[0].bm25) == (0.9, None)


def test_a_weight_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fuse({1: 0.5}, {}, 1.5)


FACTS: dict[str, Attribute] = {"course": "biology", "year": 2026.0, "licensed": True}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"type": "eq", "key": "course", "value": "biology"}, True),
        ({"type": "eq", "key": "year", "value": 2026}, True),
        ({"type": "eq", "key": "licensed", "value": 1}, False),
        ({"type": "ne", "key": "course", "value": "biology"}, False),
        ({"type": "ne", "key": "nobody", "value": "x"}, True),
        ({"type": "gt", "key": "year", "value": 2025}, True),
        ({"type": "lte", "key": "year", "value": 2025}, False),
        ({"type": "gte", "key": "course", "value": 3}, False),
        ({"type": "in", "key": "course", "value": ["art", "biology"]}, True),
        ({"type": "nin", "key": "course", "value": ["art"]}, True),
        ({"type": "nin", "key": "nobody", "value": ["art"]}, True),
        ({"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2026},
                                     {"type": "eq", "key": "course", "value": "art"}]}, False),
        ({"type": "or", "filters": [{"type": "eq", "key": "year", "value": 1},
                                    {"type": "lt", "key": "year", "value": 3000}]}, True),
    ],
)  # fmt: skip
def test_a_filter_means_what_openai_says_it_means(told: object, expected: bool) -> None:
    assert matches(read_filter(json.loads(json.dumps(told))), FACTS) is expected


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("course", "should be an object"),
        ({"type": "like", "key": "a", "value": "b"}, "type should be one of"),
        ({"type": "eq", "value": "b"}, "key should name"),
        ({"type": "eq", "key": "a", "value": {}}, "value should be text"),
        ({"type": "in", "key": "a", "value": "b"}, "value should be a list"),
        ({"type": "and", "filters": []}, "with a filter in it"),
        ({"type": "or", "filters": [{"type": "eq", "key": 1, "value": 1}]}, r"filters\[0\]\.key"),
        ({"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}] * MOST_CONDITIONS}, "at the most"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_place(told: object, why: str) -> None:
    with pytest.raises(FilterError, match=why):
        read_filter(told)


def test_a_filter_that_lies_in_itself_too_deep_is_refused() -> None:
    told: object = {"type": "eq", "key": "a", "value": 1}
    for _ in range(40):
        told = {"type": "and", "filters": [told]}

    with pytest.raises(FilterError, match="deep"):
        read_filter(told)


def test_ids_are_the_same_everywhere_and_no_two_names_share_one() -> None:
    one = document_id_of(SpaceId("school", "notes"), "a.md")

    assert one == document_id_of(SpaceId("school", "notes"), "a.md")
    others = (document_id_of(SpaceId("school", "note"), "sa.md"), document_id_of(SpaceId("schoolnotes", ""), "a.md"))
    assert len({one, *others}) == 3
    assert chunk_id_of(one, 1, 0) != chunk_id_of(one, 2, 0)


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_nothing_near_is_missed_however_the_matrix_grew(chunks: int, versions: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    vectors = dice.standard_normal((chunks, 8)).astype(STORED)
    owners = dice.integers(1, versions + 1, chunks)
    matrix, at = Matrix(0, 0, ()), 0
    while at < chunks:
        size = int(dice.integers(1, 4))
        rows = [(row + 1, int(owners[row]), vectors[row].tobytes()) for row in range(at, min(at + size, chunks))]
        matrix, at = matrix.grown(matrix.revision + 1, segment_of(rows, 8)), at + size
    question, meant = vectors[0].astype(np.float32), {1, 2}
    cosines = vectors.astype(np.float32) @ question
    exact = sorted((-float(cosines[row]), row + 1) for row in range(chunks) if owners[row] in meant)[:5]
    found = matrix.nearest(question, meant, 5)

    assert sorted(found.values(), reverse=True) == pytest.approx([-score for score, _ in exact], abs=1e-4)
    assert all(owners[row - 1] in meant for row in found)
    assert len(matrix.segments) <= SEGMENTS
    assert matrix.cosines(question, [1, chunks, chunks + 7]).keys() == {1, chunks}
