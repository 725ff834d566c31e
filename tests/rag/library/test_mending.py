"""What library.db and rag.db say of each other after one was changed without the other."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from cluster.knowledge import Ask, KnowledgeError, NewFile, NewStore
from rag.library.catalogue import Catalogue
from rag.library.mending import mend
from rag.library.opened import OpenLibrary
from rag.library.rows import FileRow, StoreRow
from rag.values import SpaceId
from support.libraries import ANA, ParsingHere, WordEncoders, opened, reading, settled, upload
from support.rag_stores import put, space

LETTER = "Subject: Letter\nFrom: ben@school.test\nDate: Mon, 6 Jul 2026 10:00:00 +0000\n\ntext of number {number}\n"


@pytest.fixture
def encoders() -> WordEncoders:
    return WordEncoders()


@pytest.fixture
async def library(tmp_path: Path, encoders: WordEncoders) -> AsyncIterator[OpenLibrary]:
    """Two files in a store, both read; nobody reads on."""
    async with opened(tmp_path, encoders, parsing=ParsingHere()) as library:
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id
        for number in (1, 2):
            new = upload(tmp_path / "up", number, LETTER.format(number=number), f"{number}.eml")
            new = NewFile(new.file_id, new.name, new.path, {"year": 2026.0})
            async with reading(library):
                await library.knowledge.add_files(ANA, store_id, [new])
                await settled(library, store_id)
        yield library


def rows_of(library: OpenLibrary) -> tuple[StoreRow, list[FileRow]]:
    (store,) = library.shelves.catalogue.stores()
    return store, library.shelves.catalogue.files(store.store_id)


async def test_what_agrees_is_left_alone(library: OpenLibrary) -> None:
    before = rows_of(library)

    assert await mend(library.shelves) == 0
    assert rows_of(library) == before


async def test_a_version_that_was_written_and_not_noted_is_taken_up_without_work(
    library: OpenLibrary, encoders: WordEncoders
) -> None:
    store, (row, _) = rows_of(library)
    assert row.own, "the parser says something of the file"
    noted = replace(row, status="in_progress", version=0, chunks=0, size_bytes=0, content_hash=None, own={})
    library.shelves.catalogue.save_files([noted])
    made = encoders.only.made
    async with reading(library):
        await settled(library, store.store_id)

    assert rows_of(library)[1][0] == row
    assert encoders.only.made == made


async def test_a_document_that_no_file_stands_for_is_taken_out(library: OpenLibrary) -> None:
    store, _ = rows_of(library)
    await put(library.shelves.store, store.space_id, "stranger.md", "whose is this")

    assert await mend(library.shelves) == 1
    assert len(await library.shelves.store.documents(store.space_id)) == 2
    assert await mend(library.shelves) == 0


async def test_a_space_that_no_store_stands_for_is_dropped_and_one_that_is_not_ours_is_not(
    library: OpenLibrary,
) -> None:
    stranger, other = SpaceId("school", "vs_stranger"), SpaceId("school", "somebody's own")
    for one in (stranger, other):
        await library.shelves.store.make_space(space(one.name))
    await mend(library.shelves)

    names = {one.space_id.name for one in await library.shelves.store.spaces("school")}
    assert names == {rows_of(library)[0].store_id, other.name}


async def test_files_whose_vectors_are_lost_are_read_again(library: OpenLibrary, tmp_path: Path) -> None:
    store, _ = rows_of(library)
    await library.shelves.store.drop_space(store.space_id)
    async with opened(tmp_path, WordEncoders(), parsing=ParsingHere()) as again:
        assert await mend(again.shelves) == 2
        async with reading(again):
            files = await settled(again, store.store_id)

    assert [(one.status, one.version) for one in files] == [("completed", 1)] * 2


async def test_what_was_leaving_leaves(library: OpenLibrary) -> None:
    store, (row, other) = rows_of(library)
    catalogue = library.shelves.catalogue
    catalogue.let_file_leave(*row.key)
    found = await library.knowledge.search(ANA, Ask("text of number", (store.store_id,)))
    assert [one.file_id for one in found.chunks] == [other.file_id]
    await mend(library.shelves)
    assert [one.document.name for one in await library.shelves.store.documents(store.space_id)] == [other.document]
    assert catalogue.leaving_files() == []

    catalogue.let_store_leave(store.store_id)
    await mend(library.shelves)
    assert await library.shelves.store.spaces("school") == ()
    assert catalogue.leaving_stores() == []


async def test_attributes_are_those_that_people_gave_last(library: OpenLibrary) -> None:
    store, (row, _) = rows_of(library)
    library.shelves.catalogue.save_files([replace(row, attributes={"year": 2030.0})])
    await mend(library.shelves)
    meant = {"type": "eq", "key": "year", "value": 2030}

    found = await library.knowledge.search(ANA, Ask("text of number", (store.store_id,), filter=meant))
    assert [one.file_id for one in found.chunks] == [row.file_id]


async def test_a_file_that_was_not_to_blame_is_tried_again(library: OpenLibrary) -> None:
    _, (row, other) = rows_of(library)
    away = replace(row, status="failed", problem_code="server_error", problem="the encoder is away", tries=12)
    broken = replace(other, status="failed", problem_code="invalid_file", problem="it is damaged")
    library.shelves.catalogue.save_files([away, broken])
    await mend(library.shelves)
    _, (tried, left) = rows_of(library)

    assert (tried.status, tried.tries, tried.problem) == ("in_progress", 0, "the encoder is away")
    assert left == broken


async def test_a_library_that_is_none_or_of_a_later_potluck_is_refused_by_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()):
        pass
    with closing(sqlite3.connect(tmp_path / "library.db")) as later:
        later.execute("PRAGMA user_version = 99")
    with pytest.raises(KnowledgeError, match=r"library\.db has schema 99, this potluck knows 3"):
        Catalogue(tmp_path / "library.db")
    (tmp_path / "library.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(KnowledgeError, match=r"library\.db cannot be used .*not a database") as refused:
        Catalogue(tmp_path / "library.db")
    assert refused.value.trouble == "broken"
