"""Folders of the gateway's machine: what is read of them, again when it changes, and no more when it is gone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cluster.knowledge import Ask, Folder, KnowledgeError, NewStore, StoreFile
from rag.library.folders import QUIET_S, look_into
from rag.library.opened import OpenLibrary
from rag.library.reading import Problem, load
from rag.library.watcher import EVERY_S
from support.libraries import ANA, BEN, PATIENCE_S, ParsingHere, WordEncoders, opened, reading, settled, upload
from support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_s=4_000_000_000.0)  # every file was changed long ago


@pytest.fixture
def encoders() -> WordEncoders:
    return WordEncoders()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "school"
    (folder / "minutes").mkdir(parents=True)
    (folder / "exam.md").write_text("the exam is on monday")
    (folder / "minutes" / "march.txt").write_text("the gym needs a roof")
    return folder


@pytest.fixture
async def library(tmp_path: Path, encoders: WordEncoders, clock: ManualClock) -> AsyncIterator[OpenLibrary]:
    (tmp_path / "state").mkdir(mode=0o700)
    async with opened(tmp_path / "state", encoders, clock, ParsingHere()) as library, reading(library):
        yield library


async def a_store(library: OpenLibrary) -> str:
    return (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id


async def files_once(
    library: OpenLibrary, store_id: str, clock: ManualClock, wanted: Callable[[dict[str, StoreFile]], bool]
) -> dict[str, StoreFile]:
    """Files by name, once they are as wanted; time goes on meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = {one.name: one for one in await library.knowledge.files(ANA, store_id)}
            if wanted(found) and all(one.status != "in_progress" for one in found.values()):
                return found
            clock.advance(EVERY_S)
            library.ingest.wake()
            await asyncio.sleep(0.01)


async def test_what_lies_in_a_folder_is_read_by_its_path_below_it(
    library: OpenLibrary, clock: ManualClock, folder: Path
) -> None:
    store_id = await a_store(library)
    added = await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
    files = await files_once(library, store_id, clock, lambda found: len(found) == 2)

    assert sorted(files) == ["exam.md", "minutes/march.txt"]
    assert {one.source for one in files.values()} == {str(folder)}
    found = await library.knowledge.search(ANA, Ask("a roof for the gym", (store_id,)))
    assert found.chunks[0].name == "minutes/march.txt"
    (shown,) = await library.knowledge.folders(ANA)
    assert (shown.folder_id, shown.path, shown.counts.completed) == (added.folder_id, str(folder), 2)
    assert await library.knowledge.folders(BEN) == ()


async def test_a_watched_folder_is_followed_through_changes_new_files_and_removals(
    library: OpenLibrary, encoders: WordEncoders, clock: ManualClock, folder: Path
) -> None:
    store_id = await a_store(library)
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=True)
    await files_once(library, store_id, clock, lambda found: len(found) == 2)
    (folder / "exam.md").write_text("the exam is on friday instead")
    (folder / "minutes" / "march.txt").unlink()
    (folder / "new.md").write_text("something else")
    files = await files_once(
        library, store_id, clock, lambda found: found.keys() == {"exam.md", "new.md"} and found["exam.md"].version == 2
    )
    assert (files["exam.md"].version, files["new.md"].version) == (2, 1)
    found = await library.knowledge.search(ANA, Ask("exam monday gym roof", (store_id,)))
    assert sorted(one.text for one in found.chunks) == ["something else", "the exam is on friday instead"]
    made = encoders.only.made
    (folder / "exam.md").touch()
    row = library.shelves.catalogue.file(store_id, files["exam.md"].file_id)
    assert row is not None
    async with asyncio.timeout(PATIENCE_S):
        while (touched := library.shelves.catalogue.file(store_id, row.file_id)) is None or touched.asked == row.asked:
            clock.advance(EVERY_S)
            library.ingest.wake()
            await asyncio.sleep(0.01)
    files = await files_once(library, store_id, clock, lambda found: len(found) == 2)
    assert (files["exam.md"].version, encoders.only.made) == (2, made)


async def test_a_folder_that_is_not_watched_stays_as_it_was_read(
    library: OpenLibrary, clock: ManualClock, folder: Path
) -> None:
    store_id = await a_store(library)
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
    await files_once(library, store_id, clock, lambda found: len(found) == 2)
    (folder / "new.md").write_text("something else")
    clock.advance(10 * EVERY_S)
    await library.watcher.look()
    assert len(await library.knowledge.files(ANA, store_id)) == 2

    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
    await files_once(library, store_id, clock, lambda found: len(found) == 3)
    assert len(await library.knowledge.folders(ANA)) == 1


async def test_a_folder_that_is_dropped_keeps_what_was_read_and_is_taken_up_where_it_was(
    library: OpenLibrary, encoders: WordEncoders, clock: ManualClock, folder: Path
) -> None:
    store_id = await a_store(library)
    added = await library.knowledge.add_folder(ANA, store_id, str(folder), watched=True)
    before = await files_once(library, store_id, clock, lambda found: len(found) == 2)
    with pytest.raises(KnowledgeError, match="no folder"):
        await library.knowledge.drop_folder(BEN, added.folder_id)
    await library.knowledge.drop_folder(ANA, added.folder_id)
    (folder / "exam.md").unlink()
    clock.advance(10 * EVERY_S)
    await library.watcher.look()
    assert {one.name for one in await library.knowledge.files(ANA, store_id)} == before.keys()

    made = encoders.only.made
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=True)
    await files_once(library, store_id, clock, lambda found: found["minutes/march.txt"].status == "completed")
    files = {one.name: one for one in await library.knowledge.files(ANA, store_id)}
    assert files["minutes/march.txt"].file_id == before["minutes/march.txt"].file_id
    assert encoders.only.made == made


async def test_a_folder_that_cannot_be_reached_loses_none_of_its_files(
    library: OpenLibrary, clock: ManualClock, folder: Path
) -> None:
    store_id = await a_store(library)
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=True)
    await files_once(library, store_id, clock, lambda found: len(found) == 2)
    folder.rename(folder.with_name("elsewhere"))
    clock.advance(10 * EVERY_S)
    await library.watcher.look()
    assert len(await library.knowledge.files(ANA, store_id)) == 2

    folder.with_name("elsewhere").rename(folder)
    (folder / "exam.md").unlink()
    await files_once(library, store_id, clock, lambda found: len(found) == 1)


async def test_links_hidden_files_and_what_is_being_written_are_passed_over(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "up").symlink_to(tmp_path)
    (folder / "state").mkdir()
    (folder / "state" / "owner.key").write_text("key")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("hidden")
    for name in (".hidden.md", "~$exam.docx", "exam.docx.tmp", "exam.md~", "film.crdownload"):
        (folder / name).write_text("half")

    assert sorted(one.relative for one in look_into(folder, folder / "state").seen.values()) == [
        "exam.md",
        "minutes/march.txt",
    ]


async def test_a_file_that_became_a_link_since_somebody_looked_is_not_followed(
    library: OpenLibrary, clock: ManualClock, folder: Path, tmp_path: Path
) -> None:
    store_id = await a_store(library)
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
    await files_once(library, store_id, clock, lambda found: len(found) == 2)
    (tmp_path / "secret").mkdir()
    for name in ("exam.md", "march.txt"):
        (tmp_path / "secret" / name).write_text("the secret")
    (folder / "exam.md").unlink()
    (folder / "exam.md").symlink_to(tmp_path / "secret" / "exam.md")
    (folder / "minutes").rename(tmp_path / "before")
    (folder / "minutes").symlink_to(tmp_path / "secret")
    for row in library.shelves.catalogue.files(store_id):
        problem = load(row, frozenset())
        assert isinstance(problem, Problem)
        assert problem.passing


async def test_a_file_that_was_changed_just_now_is_read_once_it_is_quiet(
    tmp_path: Path, encoders: WordEncoders, folder: Path
) -> None:
    changed_s = (folder / "exam.md").stat().st_mtime
    clock = ManualClock(wall_s=changed_s + QUIET_S / 2)
    (tmp_path / "state").mkdir(mode=0o700)
    async with opened(tmp_path / "state", encoders, clock, ParsingHere()) as library:
        store_id = await a_store(library)
        await library.knowledge.add_folder(ANA, store_id, str(folder), watched=False)
        await library.watcher.look()
        assert await library.knowledge.files(ANA, store_id) == ()
        clock.advance(EVERY_S)
        await library.watcher.look()
        assert len(await library.knowledge.files(ANA, store_id)) == 2


async def test_tables_beside_files_tell_their_attributes(
    library: OpenLibrary, encoders: WordEncoders, clock: ManualClock, folder: Path
) -> None:
    (folder / "metadata.csv").write_text("file,year,subject\nexam.md,2026,biology\n")
    store_id = await a_store(library)
    await library.knowledge.add_folder(ANA, store_id, str(folder), watched=True)
    files = await files_once(library, store_id, clock, lambda found: len(found) == 2)
    assert files["exam.md"].attributes == {"year": 2026.0, "subject": "biology"}
    assert files["minutes/march.txt"].attributes == {}
    made = encoders.only.made
    (folder / "minutes" / "march.txt.metadata.json").write_text(json.dumps({"place": "gym"}))
    (folder / "metadata.csv").write_text("file,year\nexam.md,2027\n")
    await files_once(
        library,
        store_id,
        clock,
        lambda found: [one.attributes for _, one in sorted(found.items())] == [{"year": 2027.0}, {"place": "gym"}],
    )
    meant = {"type": "eq", "key": "place", "value": "gym"}
    found = await library.knowledge.search(ANA, Ask("roof", (store_id,), filter=meant))
    assert [one.name for one in found.chunks] == ["minutes/march.txt"]
    (folder / "metadata.csv").write_text("what is this\n")
    clock.advance(EVERY_S)
    await library.watcher.look()
    files = await files_once(library, store_id, clock, lambda found: len(found) == 2)
    assert (files["exam.md"].attributes, encoders.only.made) == ({"year": 2027.0}, made + 1)  # the question


async def test_files_of_two_folders_with_one_name_are_two_documents(
    library: OpenLibrary, clock: ManualClock, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "exam.md").write_text("another exam")
    store_id = await a_store(library)
    new = upload(tmp_path / "up", 1, "uploaded", "exam.md")
    await library.knowledge.add_files(ANA, store_id, [new])
    for path in (folder, other):
        await library.knowledge.add_folder(ANA, store_id, str(path), watched=True)
    async with asyncio.timeout(PATIENCE_S):
        while len(await library.knowledge.files(ANA, store_id)) < 4:
            clock.advance(EVERY_S)
            library.ingest.wake()
            await asyncio.sleep(0.01)
    await settled(library, store_id)

    found = await library.knowledge.search(ANA, Ask("exam", (store_id,)))
    assert {one.text for one in found.chunks} >= {"another exam", "the exam is on monday"}


@pytest.mark.parametrize(
    ("path", "why"),
    [("notes", "no absolute path"), ("/nobody/has/this", "cannot be read"), ("STATE/x", "state directory")],
)
async def test_a_path_that_is_no_folder_of_documents_is_refused(
    library: OpenLibrary, tmp_path: Path, path: str, why: str
) -> None:
    (tmp_path / "state" / "x").mkdir()
    store_id = await a_store(library)
    with pytest.raises(KnowledgeError, match=why) as refused:
        await library.knowledge.add_folder(ANA, store_id, path.replace("STATE", str(tmp_path / "state")), False)
    assert (refused.value.trouble, refused.value.param) == ("invalid", "path")


async def test_folders_that_lie_in_each_other_are_not_read_twice(library: OpenLibrary, folder: Path) -> None:
    store_id = await a_store(library)
    first: Folder = await library.knowledge.add_folder(ANA, store_id, str(folder), True)
    with pytest.raises(KnowledgeError, match="lie in each other") as refused:
        await library.knowledge.add_folder(ANA, store_id, str(folder / "minutes"), True)
    assert refused.value.trouble == "conflict"
    assert [one.folder_id for one in await library.knowledge.folders(ANA)] == [first.folder_id]
