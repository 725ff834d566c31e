"""What every store of documents does: the file, and Weaviate's client against its wire format. A real Weaviate is asked
the same where POTLUCK_TEST_WEAVIATE_URL names one (docs/documents.md says how)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.filters import Condition, Filter, Group
from rag.stores.contract import (
    OtherEncoderError,
    OutOfOrderError,
    Question,
    UnknownDocumentError,
    UnknownSpaceError,
    VectorStore,
)
from rag.stores.embedded import EmbeddedStore
from rag.values import Hit, NewDocument, Space, SpaceId
from support.manual_clock import ManualClock
from support.rag_stores import DIMENSIONS, STORES, asking, opened, put, space, vectors_of

NOTES, MINUTES = space("notes"), space("minutes")
THEIRS = space("notes", tenant="clinic")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[VectorStore]:
    async with opened(request.param, tmp_path, clock) as store:
        for one in (NOTES, MINUTES, THEIRS):
            await store.make_space(one)
        yield store


def names(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.version.document.name for hit in hits]


async def test_what_was_put_is_found_with_its_place_and_both_parts_of_its_score(store: VectorStore) -> None:
    version = await put(store, NOTES.space_id, "cells.md", "plants have chloroplasts", "animals have none")
    await put(store, NOTES.space_id, "rome.md", "caesar crossed the rubicon")
    (best, *_) = await store.search([NOTES.space_id], asking("chloroplasts of plants"))

    assert (best.version, best.chunk.ordinal, best.chunk.content.text) == (version, 0, "plants have chloroplasts")
    assert (best.chunk.content.start, best.chunk.content.end) == (0, 24)
    assert best.score == pytest.approx(1.0)
    assert best.cosine is not None and best.bm25 is not None
    assert (version.number, version.chunks, version.ended_s) == (1, 2, None)


async def test_a_changed_document_is_found_as_it_is_now_and_as_it_was_then(
    store: VectorStore, clock: ManualClock
) -> None:
    first = await put(store, NOTES.space_id, "exam.md", "the exam is on monday")
    clock.advance(100)
    second = await put(store, NOTES.space_id, "exam.md", "the exam is on friday")
    now = await store.search([NOTES.space_id], asking("exam monday"))
    then = await store.search([NOTES.space_id], asking("exam monday", at_s=first.made_s + 50))
    before = await store.search([NOTES.space_id], asking("exam monday", at_s=first.made_s - 1))

    assert [hit.chunk.content.text for hit in now] == ["the exam is on friday"]
    assert [hit.chunk.content.text for hit in then] == ["the exam is on monday"]
    assert before == ()
    assert (second.number, second.document_id) == (2, first.document_id)
    assert [one.ended_s for one in await store.versions(NOTES.space_id, first.document_id)] == [second.made_s, None]


async def test_the_same_content_again_is_no_new_version(store: VectorStore, clock: ManualClock) -> None:
    first = await put(store, NOTES.space_id, "exam.md", "the exam is on monday")
    clock.advance(100)

    assert await put(store, NOTES.space_id, "exam.md", "the exam is on monday") == first
    assert await store.documents(NOTES.space_id) == (first,)


async def test_nobody_finds_what_is_another_tenants(store: VectorStore) -> None:
    await put(store, THEIRS.space_id, "patient.md", "canary of the clinic")
    await put(store, NOTES.space_id, "class.md", "canary of the class")

    assert names(await store.search([NOTES.space_id], asking("canary of the clinic"))) == ["class.md"]
    assert [one.space_id for one in await store.spaces("school")] == [MINUTES.space_id, NOTES.space_id]


async def test_what_others_wrote_changes_no_score(store: VectorStore) -> None:
    for space_id in (NOTES.space_id, MINUTES.space_id):
        await put(store, space_id, "a.md", "rare word here")
        await put(store, space_id, "b.md", "another text there")
    alone = await store.search([MINUTES.space_id], asking("rare word"))
    for number in range(20):
        await put(store, NOTES.space_id, f"{number}.md", f"rare word number {number}")

    assert await store.search([MINUTES.space_id], asking("rare word")) == alone


async def test_several_spaces_are_asked_as_one(store: VectorStore) -> None:
    await put(store, NOTES.space_id, "a.md", "budget of the library")
    await put(store, MINUTES.space_id, "b.md", "budget of the library and the gym")
    hits = await store.search([NOTES.space_id, MINUTES.space_id], asking("budget of the library"))

    assert names(hits) == ["a.md", "b.md"]
    assert names(await store.search([NOTES.space_id, MINUTES.space_id], asking("budget gym", limit=1))) == ["b.md"]


async def test_a_filter_leaves_out_documents_by_their_attributes(store: VectorStore) -> None:
    await put(store, NOTES.space_id, "old.md", "the timetable", attributes={"year": 2025.0})
    await put(store, NOTES.space_id, "new.md", "the timetable as it is", attributes={"year": 2026.0})
    meant = Condition("gte", "year", 2026.0)

    assert names(await store.search([NOTES.space_id], asking("timetable", filter=meant))) == ["new.md"]
    nobody = Condition("gte", "year", 2030.0)
    assert await store.search([NOTES.space_id], asking("timetable", filter=nobody)) == ()


async def test_other_attributes_are_those_of_what_holds_now(store: VectorStore, clock: ManualClock) -> None:
    first = await put(store, NOTES.space_id, "a.md", "the timetable", attributes={"year": 2025.0})
    clock.advance(100)
    await put(store, NOTES.space_id, "a.md", "the timetable as it is", attributes={"year": 2025.0})
    meant = Condition("eq", "year", 2026.0)
    assert await store.search([NOTES.space_id], asking("timetable", filter=meant)) == ()

    assert await store.describe(NOTES.space_id, first.document_id, {"year": 2026.0}) is True
    assert names(await store.search([NOTES.space_id], asking("timetable", filter=meant))) == ["a.md"]
    then = asking("timetable", filter=meant, at_s=first.made_s + 50)
    assert await store.search([NOTES.space_id], then) == ()
    assert await store.describe(NOTES.space_id, "nobody", {}) is False


async def test_a_document_that_is_removed_is_found_by_nothing(store: VectorStore) -> None:
    version = await put(store, NOTES.space_id, "a.md", "gone soon", "gone as well")
    await put(store, NOTES.space_id, "a.md", "gone too")
    await put(store, NOTES.space_id, "b.md", "here to stay")
    assert names(await store.search([NOTES.space_id], asking("gone"))) == ["a.md", "b.md"]

    assert await store.remove(NOTES.space_id, version.document_id) is True
    assert await store.remove(NOTES.space_id, version.document_id) is False
    assert names(await store.search([NOTES.space_id], asking("gone"))) == ["b.md"]
    assert await store.chunks(version, 0, 9) == ()
    with pytest.raises(UnknownDocumentError, match=version.document_id):
        await store.versions(NOTES.space_id, version.document_id)


async def test_a_space_that_is_dropped_is_gone_with_all_that_was_in_it_and_can_be_made_anew(store: VectorStore) -> None:
    await put(store, NOTES.space_id, "a.md", "gone soon")
    assert await store.drop_space(NOTES.space_id) is True
    assert await store.drop_space(NOTES.space_id) is False
    with pytest.raises(UnknownSpaceError, match="school/notes"):
        await store.search([NOTES.space_id], asking("gone"))

    await store.make_space(NOTES)
    assert await store.documents(NOTES.space_id) == ()
    assert await store.search([NOTES.space_id], asking("gone")) == ()


async def test_a_space_keeps_to_one_encoder(store: VectorStore) -> None:
    other = Space(NOTES.space_id, "other@2", DIMENSIONS, "private", 0.0)

    with pytest.raises(OtherEncoderError, match=r"has vectors of toy@1 .* not of other@2"):
        await store.make_space(other)
    assert (await store.make_space(NOTES)).encoder == "toy@1"


async def test_vectors_that_do_not_go_with_their_chunks_leave_everything_as_it_was(store: VectorStore) -> None:
    before = await put(store, NOTES.space_id, "a.md", "as it was")
    document = NewDocument("a.md", "other", "", "text/plain", "", "private", {}, 1)

    with pytest.raises(ValueError, match="vectors of shape"):
        await store.put(NOTES.space_id, document, [], vectors_of(["one too many"]))
    assert await store.documents(NOTES.space_id) == (before,)


async def test_a_space_that_nobody_made_takes_nothing(store: VectorStore) -> None:
    with pytest.raises(UnknownSpaceError, match="school/nowhere"):
        await put(store, SpaceId("school", "nowhere"), "a.md", "text")


async def test_neighbours_of_a_chunk_come_in_their_order(store: VectorStore) -> None:
    version = await put(store, NOTES.space_id, "a.md", *[f"part {number}" for number in range(6)])

    assert [one.content.text for one in await store.chunks(version, 2, 4)] == ["part 2", "part 3", "part 4"]
    assert [one.ordinal for one in await store.chunks(version, -3, 0)] == [0]
    assert [one.ordinal for one in await store.chunks(version, 5, 99)] == [5]


@pytest.mark.parametrize("text", ["", "!!!", '" OR NEAR(', "日本語 текст", "x" * 5000, "a\x00b"])
async def test_any_text_may_be_asked_and_put(store: VectorStore, text: str) -> None:
    await put(store, NOTES.space_id, "a.md", text + " and more", "second")

    assert len(await store.search([NOTES.space_id], asking(text))) == 2


async def test_without_a_vector_words_alone_decide(store: VectorStore) -> None:
    await put(store, NOTES.space_id, "a.md", "ciudades de España")
    await put(store, NOTES.space_id, "b.md", "pueblos de Francia")
    hits = await store.search([NOTES.space_id], Question("una ciudad de españa", None, 5))
    assert names(hits)[0] == "a.md"
    assert all(hit.cosine is None for hit in hits)


async def test_what_one_writes_while_others_ask_is_whole_at_every_moment(store: VectorStore) -> None:
    """Each version has three chunks that say its number: a question finds three of one number, never a mixture."""
    await put(store, NOTES.space_id, "a.md", *["state 0 of it"] * 3)

    async def write() -> None:
        for number in range(1, 40):
            await put(store, NOTES.space_id, "a.md", *[f"state {number} of it"] * 3)

    async def ask() -> set[int]:
        seen = set()
        while not writing.done():
            hits = await store.search([NOTES.space_id], asking("state of it", limit=9))
            assert len(hits) == 3
            assert len({(hit.version.number, hit.chunk.content.text) for hit in hits}) == 1
            seen.add(hits[0].version.number)
        return seen

    writing = asyncio.create_task(write())
    first, second = await asyncio.gather(ask(), ask())
    await writing
    assert len(first | second) > 1


@pytest.mark.parametrize("store", ["embedded"], indirect=True)
async def test_two_that_have_the_file_open_see_each_others_documents(
    store: VectorStore, tmp_path: Path, clock: ManualClock
) -> None:
    other = EmbeddedStore(tmp_path / "rag.db", clock)
    try:
        await put(store, NOTES.space_id, "a.md", "first text")
        assert names(await other.search([NOTES.space_id], asking("text"))) == ["a.md"]
        await put(store, NOTES.space_id, "b.md", "second text")
        assert sorted(names(await other.search([NOTES.space_id], asking("text")))) == ["a.md", "b.md"]
        (first, _) = await store.documents(NOTES.space_id)
        await store.remove(NOTES.space_id, first.document_id)
        assert names(await other.search([NOTES.space_id], asking("text"))) == ["b.md"]
    finally:
        await other.close()


async def test_vectors_are_kept_to_half_precision_and_no_less(store: VectorStore) -> None:
    await put(store, NOTES.space_id, "a.md", "one two three")
    (hit,) = await store.search([NOTES.space_id], asking("one two three"))

    assert hit.cosine == pytest.approx(1.0, abs=2 * float(np.finfo(np.float16).eps))


async def test_a_version_is_restored_with_its_number_and_its_times(store: VectorStore, clock: ManualClock) -> None:
    first = await put(store, NOTES.space_id, "a.md", "as it was", "second part", attributes={"year": 2025.0})
    clock.advance(10)
    second = await put(store, NOTES.space_id, "a.md", "as it is", attributes={"year": 2026.0})
    history = await store.versions(NOTES.space_id, first.document_id)
    wholes = [await store.whole(one) for one in history]
    await store.remove(NOTES.space_id, first.document_id)
    clock.advance(10)
    with pytest.raises(OutOfOrderError):
        await store.restore(wholes[1])
    for whole in wholes:
        assert await store.restore(whole) == whole.version

    assert await store.versions(NOTES.space_id, first.document_id) == history
    assert await store.documents(NOTES.space_id) == (second,)
    again = [await store.whole(one) for one in history]
    assert [one.chunks for one in again] == [one.chunks for one in wholes]
    assert all(np.allclose(one.vectors, other.vectors, atol=1e-6) for one, other in zip(again, wholes, strict=True))
    then = await store.search([NOTES.space_id], asking("as it was", at_s=first.made_s))
    assert [hit.chunk.content.text for hit in then] == ["as it was", "second part"]
    assert [hit.chunk.content.text for hit in await store.search([NOTES.space_id], asking("as it was"))] == ["as it is"]


async def test_a_version_that_is_there_is_not_restored_again_but_ends_when_it_ended(store: VectorStore) -> None:
    first = await put(store, NOTES.space_id, "a.md", "as it was")
    whole = await store.whole(first)
    ended = replace(whole, version=replace(first, ended_s=first.made_s + 5))

    assert await store.restore(whole) == first
    assert await store.restore(ended) == ended.version
    assert await store.versions(NOTES.space_id, first.document_id) == (ended.version,)
    assert await store.search([NOTES.space_id], asking("as it was")) == ()


async def test_nothing_whole_comes_of_what_was_removed(store: VectorStore) -> None:
    version = await put(store, NOTES.space_id, "a.md", "gone soon")
    await store.remove(NOTES.space_id, version.document_id)

    with pytest.raises(UnknownDocumentError):
        await store.whole(version)


@pytest.mark.parametrize(
    ("meant", "found"),
    [
        (Condition("eq", "subject", "maths"), {"a.md"}),
        (Condition("ne", "subject", "maths"), {"b.md", "c.md"}),
        (Condition("in", "year", (2025.0, 2026.0)), {"a.md", "b.md"}),
        (Condition("in", "year", ()), set()),
        (Condition("nin", "year", (2025.0,)), {"b.md", "c.md"}),
        (Condition("nin", "year", ()), {"a.md", "b.md", "c.md"}),
        (Condition("gt", "year", 2025.0), {"b.md"}),
        (Condition("lte", "year", 2026.0), {"a.md", "b.md"}),
        (Condition("lt", "subject", "music"), {"a.md"}),
        (Condition("eq", "open", True), {"b.md"}),
        (Condition("eq", "open", 1.0), set()),
        (Condition("gt", "unheard", 1.0), set()),
        (
            Group("or", (Condition("eq", "subject", "maths"), Condition("gte", "subject", "music"))),
            {"a.md", "b.md"},
        ),
        (Group("and", (Condition("lt", "subject", "z"), Condition("ne", "open", True))), {"a.md"}),
    ],
)
async def test_filters_mean_the_same_in_every_store(store: VectorStore, meant: Filter, found: set[str]) -> None:
    await put(store, NOTES.space_id, "a.md", "text of a", attributes={"subject": "maths", "year": 2025.0})
    await put(store, NOTES.space_id, "b.md", "text of b", attributes={"subject": "music", "year": 2026.0, "open": True})
    await put(store, NOTES.space_id, "c.md", "text of c")

    assert {*names(await store.search([NOTES.space_id], asking("text", filter=meant)))} == found


async def test_a_space_is_scrubbed_and_has_what_it_had(store: VectorStore, clock: ManualClock) -> None:
    first = await put(store, NOTES.space_id, "a.md", "as it was", attributes={"year": 2025.0})
    clock.advance(10)
    await put(store, NOTES.space_id, "a.md", "as it is", attributes={"year": 2026.0})
    gone = await put(store, NOTES.space_id, "b.md", "zanzibarcanary goes")
    await put(store, MINUTES.space_id, "c.md", "minutes of others")
    history = await store.versions(NOTES.space_id, first.document_id)
    wholes = [await store.whole(one) for one in history]
    await store.remove(NOTES.space_id, gone.document_id)
    await store.scrub(NOTES.space_id)
    await store.clean()

    assert await store.versions(NOTES.space_id, first.document_id) == history
    assert [(await store.whole(one)).chunks for one in history] == [one.chunks for one in wholes]
    assert names(await store.search([NOTES.space_id], asking("as it is"))) == ["a.md"]
    assert names(await store.search([NOTES.space_id], asking("as it was", at_s=first.made_s))) == ["a.md"]
    assert names(await store.search([MINUTES.space_id], asking("minutes of others"))) == ["c.md"]
    assert names(await store.search([MINUTES.space_id], asking("as it is"))) == ["c.md"], "no words of another space"
    assert {one.space_id for one in await store.spaces("school")} == {NOTES.space_id, MINUTES.space_id}
    with pytest.raises(UnknownSpaceError):
        await store.scrub(SpaceId("school", "none"))


@pytest.mark.parametrize("store", ["embedded"], indirect=True)
async def test_no_byte_is_left_of_what_was_removed(store: VectorStore, tmp_path: Path) -> None:
    gone = await put(store, NOTES.space_id, "b.md", "zanzibarcanary goes", "and its second part")
    vector = np.ascontiguousarray(vectors_of(["zanzibarcanary goes"])[0].astype("<f2")).tobytes()
    await put(store, NOTES.space_id, "a.md", "something else stays")

    def left(what: bytes) -> list[str]:
        return [path.name for path in tmp_path.iterdir() if what in path.read_bytes()]

    assert left(b"zanzibarcanary") and left(vector)
    await store.remove(NOTES.space_id, gone.document_id)
    await store.scrub(NOTES.space_id)
    await store.clean()

    assert (left(b"zanzibar"), left(vector)) == ([], [])


async def test_versions_that_ended_are_forgotten_and_their_numbers_not_given_again(
    store: VectorStore, clock: ManualClock
) -> None:
    written = []
    for text in ("as it was", "as it became", "as it is"):
        written.append(await put(store, NOTES.space_id, "a.md", text))
        clock.advance(10)
    first, second, third = written

    assert await store.forget_versions(NOTES.space_id, first.document_id, {1, 3, 9}) == 1
    assert await store.forget_versions(NOTES.space_id, first.document_id, {1}) == 0
    assert [one.number for one in await store.versions(NOTES.space_id, first.document_id)] == [2, 3]
    assert await store.search([NOTES.space_id], asking("as it was", at_s=first.made_s)) == ()
    (then,) = await store.search([NOTES.space_id], asking("as it was", at_s=second.made_s))
    assert then.chunk.content.text == "as it became"
    assert await store.chunks(first, 0, 5) == ()

    history = await store.versions(NOTES.space_id, third.document_id)
    wholes = [await store.whole(one) for one in history]
    await store.forget_versions(NOTES.space_id, first.document_id, {2})
    assert (await put(store, NOTES.space_id, "a.md", "as it will be")).number == 4
    await store.remove(NOTES.space_id, first.document_id)
    for whole in wholes:
        assert await store.restore(whole) == whole.version
    assert await store.versions(NOTES.space_id, third.document_id) == history
