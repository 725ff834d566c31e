"""A space moves to another store with all its history, goes on where it stopped, and is compared before it goes."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from rag.migrate import NotTheSameError, move_space
from rag.stores.contract import OutOfOrderError, StoreError, UnknownSpaceError, VectorStore, WholeVersion
from rag.stores.embedded import EmbeddedStore
from rag.values import SpaceId, Version
from support.manual_clock import ManualClock
from support.rag_stores import asking, put, space

NOTES = space("notes")


class Fading:
    """A store that stops answering after so many versions were restored in it, as a server does that goes away."""

    def __init__(self, inner: VectorStore, restores: int) -> None:
        self._inner, self._left = inner, restores

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def restore(self, whole: WholeVersion) -> Version:
        if self._left == 0:
            raise StoreError("it went away")
        self._left -= 1
        return await self._inner.restore(whole)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def source(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "source.db", clock)
    await store.make_space(NOTES)
    for number in range(30):
        await put(store, NOTES.space_id, f"{number}.md", f"note number {number} of anna", "second part")
    clock.advance(10)
    await put(
        store, NOTES.space_id, "7.md", "note number 7 as bela wrote it", attributes={"by": "bela", "year": 2026.0}
    )
    yield store
    await store.close()


@pytest.fixture
async def target(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EmbeddedStore]:
    clock.advance(1000)
    store = EmbeddedStore(tmp_path / "target.db", clock)
    yield store
    await store.close()


async def test_every_version_arrives_with_its_number_and_its_times(
    source: EmbeddedStore, target: EmbeddedStore
) -> None:
    seen: list[tuple[int, int]] = []
    moved = await move_space(source, target, NOTES.space_id, False, lambda done, every: seen.append((done, every)))

    assert (moved.documents, moved.versions, moved.chunks, moved.written, moved.asked) == (30, 31, 61, 31, 20)
    assert (seen[0], seen[-1]) == ((0, 31), (31, 31))
    assert await target.documents(NOTES.space_id) == await source.documents(NOTES.space_id)
    (changed,) = [one for one in await source.documents(NOTES.space_id) if one.document.name == "7.md"]
    old, new = await source.versions(NOTES.space_id, changed.document_id)
    assert await target.versions(NOTES.space_id, changed.document_id) == (old, new)
    asked = asking("note number 7 of anna", limit=100, at_s=old.made_s)
    ours, theirs = [await store.search([NOTES.space_id], asked) for store in (source, target)]
    assert sorted(theirs, key=lambda hit: hit.chunk.chunk_id) == sorted(ours, key=lambda hit: hit.chunk.chunk_id)
    there, here = await target.whole(old), await source.whole(old)
    assert there.chunks == here.chunks
    assert np.array_equal(there.vectors, here.vectors)


async def test_it_goes_on_where_it_stopped(source: EmbeddedStore, target: EmbeddedStore, clock: ManualClock) -> None:
    with pytest.raises(StoreError, match="it went away"):
        await move_space(source, Fading(target, 12), NOTES.space_id, drop=True)  # type: ignore[arg-type]  # by name
    assert len(await target.documents(NOTES.space_id)) in (11, 12)
    clock.advance(10)
    await put(source, NOTES.space_id, "0.md", "changed since")
    moved = await move_space(source, target, NOTES.space_id, drop=True)

    assert moved.versions == 32
    assert moved.written == 32 - 11  # one of the twelve has ended since
    assert moved.dropped
    assert await source.spaces("school") == ()
    assert len(await target.search([NOTES.space_id], asking("changed since", limit=1))) == 1


async def test_a_copy_that_differs_is_told_and_nothing_is_dropped(source: EmbeddedStore, target: EmbeddedStore) -> None:
    await target.make_space(NOTES)
    await put(target, NOTES.space_id, "stranger.md", "of another hand")
    with pytest.raises(NotTheSameError, match=r"0 versions are not there, and 1 are there only"):
        await move_space(source, target, NOTES.space_id, drop=True)

    assert len(await source.documents(NOTES.space_id)) == 30


async def test_another_history_of_a_document_is_not_written_over(source: EmbeddedStore, target: EmbeddedStore) -> None:
    await target.make_space(NOTES)
    await put(target, NOTES.space_id, "7.md", "another beginning")
    with pytest.raises(OutOfOrderError, match=r"school/notes has 7\.md already, up to version 1"):
        await move_space(source, target, NOTES.space_id, drop=True)


async def test_a_space_that_is_not_there_cannot_move(source: EmbeddedStore, target: EmbeddedStore) -> None:
    with pytest.raises(UnknownSpaceError):
        await move_space(source, target, SpaceId("clinic", "notes"), drop=False)
    assert await target.spaces("clinic") == ()


async def test_versions_are_restored_from_the_first_on(source: EmbeddedStore, target: EmbeddedStore) -> None:
    await target.make_space(NOTES)
    (changed,) = [one for one in await source.documents(NOTES.space_id) if one.number == 2]
    whole = await source.whole(changed)
    with pytest.raises(OutOfOrderError):
        await target.restore(whole)

    assert await target.documents(NOTES.space_id) == ()
