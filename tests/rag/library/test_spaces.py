"""Spaces of several owners: nobody finds, lists, reads or changes what was not granted to him."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.erasure import KEY_BYTES, Person, sought
from cluster.grants import EVERYONE, may_change, may_read, may_see
from cluster.key_order import OWNER
from cluster.knowledge import Ask, KnowledgeError, NewStore, Reader, Store, StoreChange
from rag.library.licences import CHARACTERS
from rag.library.opened import OpenLibrary
from rag.library.rows import StoreRow
from router.server_tools import Knowledge
from support.libraries import ANA, BEN, WordEncoders, opened, reading, settled, upload

COLLEAGUE = Reader("school", "key-cleo", "teachers", "private")
PUPIL = Reader("school", "key-chat", "pupils", "private", user="dan")
ADMIN = Reader("school", "key-head", "office", "private", role="admin")
EVERYBODY = (ANA, COLLEAGUE, PUPIL, replace(PUPIL, user="eve"), ADMIN, BEN, replace(BEN, role="admin"))
LORD = Reader(OWNER, "key-lord", OWNER, "private", role="admin")  # the cluster's owner
ALL = (*EVERYBODY, LORD)
REGISTRAR = replace(BEN, role="admin", key_id="key-clinic")
GRANTS = ("key:key-ana", "key:key-cleo", "key:key-ben", "group:teachers", "user:dan", "role:admin", EVERYONE)
lists = st.lists(st.sampled_from(GRANTS), unique=True, max_size=2).map(tuple)
TEXT = "The harvest budget of the year is in the blue folder."


Wanted: TypeAlias = tuple[Reader, tuple[str, ...], tuple[str, ...], bool]
"""Who makes a space, its other owners, its readers, and whether it is licensed."""


async def trouble(call: Awaitable[object]) -> str | None:
    """The kind of what goes wrong; None where nothing does."""
    try:
        await call
    except KnowledgeError as error:
        return error.trouble
    return None


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL), lists, lists, st.booleans()), min_size=2, max_size=3))
def test_whatever_is_granted_nobody_sees_more(spaces: list[Wanted]) -> None:
    with TemporaryDirectory() as root:
        asyncio.run(_nobody_sees_more(Path(root), spaces))


async def _nobody_sees_more(root: Path, spaces: list[Wanted]) -> None:
    async with opened(root, WordEncoders()) as library, reading(library):
        knowledge, made = library.knowledge, list[Store]()
        for number, (maker, owners, readers, licensed) in enumerate(spaces):
            wanted = NewStore(f"space {number}", owners=owners, readers=readers, licence="Norte" if licensed else "")
            store = await knowledge.create_store(maker, wanted)
            await knowledge.add_files(maker, store.store_id, [upload(root / "up", number, TEXT)])
            await settled(library, store.store_id, maker)
            made.append(await knowledge.store(maker, store.store_id))
        for reader in ALL:
            await _sees_what_is_his(knowledge, reader, made)


async def _sees_what_is_his(knowledge: Knowledge, reader: Reader, made: list[Store]) -> None:
    assert {one.store_id for one in await knowledge.stores(reader)} == {
        one.store_id for one in made if may_see(reader, one)
    }
    for number, store in enumerate(made):
        file_id = f"file-{number:032x}"
        hidden = "forbidden" if may_see(reader, store) else "not_found"
        reads = None if may_read(reader, store) else hidden
        changes = may_change(reader, store)
        whole = "forbidden" if reads is None and store.licensed and not changes else reads
        ask = Ask("harvest budget", (store.store_id,))
        assert await trouble(knowledge.search(reader, ask)) == reads
        assert await trouble(knowledge.files(reader, store.store_id)) == reads
        assert await trouble(knowledge.file(reader, store.store_id, file_id)) == reads
        assert await trouble(knowledge.texts(reader, store.store_id, file_id)) == whole
        if not changes:
            refused = "forbidden" if may_see(reader, store) else "not_found"
            assert await trouble(knowledge.change_file(reader, store.store_id, file_id, {"a": 1.0})) == refused
            assert await trouble(knowledge.drop_file(reader, store.store_id, file_id)) == refused
            assert await trouble(knowledge.change_store(reader, store.store_id, StoreChange(name="mine"))) == refused
            assert await trouble(knowledge.add_folder(reader, store.store_id, "/tmp", False)) == refused
    mine = tuple(one.store_id for one in made if may_read(reader, one))
    found = await knowledge.search(reader, Ask("harvest budget", mine)) if mine else None
    assert {one.store_id for one in found.chunks} <= set(mine) if found else True
    others = next((one.store_id for one in made if not may_read(reader, one)), None)
    if others is not None:
        assert await trouble(knowledge.search(reader, Ask("harvest budget", (*mine, others)))) is not None


async def test_a_usual_store_is_asked_for_those_only_who_may_read_it(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library:
        knowledge = library.knowledge
        store = await knowledge.create_store(ANA, NewStore("notes"))

        def usual() -> list[bool]:
            return [bool(knowledge.usual_stores(one, "qwen")) for one in EVERYBODY]

        seen = [usual()]
        told = await knowledge.set_usual(ANA, store.store_id, ["qwen"], [])
        seen.append(usual())
        await knowledge.change_store(ANA, store.store_id, StoreChange(readers=("user:dan",)))
        seen.append(usual())
        by_key = await knowledge.set_usual(ANA, store.store_id, [], ["key-cleo"])
        seen.append(usual())
        await knowledge.drop_store(ANA, store.store_id)
        seen.append(usual())

    assert told.readers == (EVERYONE,)
    assert by_key.readers == ("user:dan", "key:key-cleo")
    assert seen == [
        [False] * 7,
        [True] * 5 + [False] * 2,
        [True, False, True, False, False, False, False],
        [False, True, False, False, False, False, False],
        [False] * 7,
    ]


async def test_what_the_clusters_owner_shares_reaches_whoever_is_named_in_any_tenant(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library, reading(library):
        knowledge = library.knowledge
        store_id = (await knowledge.create_store(LORD, NewStore("notes"))).store_id
        await knowledge.add_files(LORD, store_id, [upload(tmp_path / "up", 1, TEXT)])
        await settled(library, store_id, LORD)
        alone = [one.key_id for one in EVERYBODY if await knowledge.stores(one)]
        await knowledge.change_store(LORD, store_id, StoreChange(readers=("group:teachers", "key:key-ben")))
        ask = Ask("harvest budget", (store_id,))
        found = [await trouble(knowledge.search(one, ask)) for one in ALL]
        told = await knowledge.set_usual(LORD, store_id, ["qwen"], ["key-ben"])
        usual = [knowledge.usual_stores(one, "qwen") for one in ALL]
        await knowledge.change_store(LORD, store_id, StoreChange(readers=("group:teachers",)))
        fewer = [bool(knowledge.usual_stores(one, "qwen")) for one in ALL]

    assert alone == []
    assert found == [None, None, "not_found", "not_found", "not_found", None, None, None]
    assert told.readers == ("group:teachers", "key:key-ben", EVERYONE)
    assert usual == [(store_id,)] * len(ALL)
    assert fewer == [True, True, False, False, False, False, False, True]


async def test_owners_of_other_tenants_fill_the_clusters_space_and_what_they_take_back_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "state").mkdir()
    async with opened(tmp_path / "state", WordEncoders()) as library, reading(library):
        knowledge = library.knowledge
        store_id = (await knowledge.create_store(LORD, NewStore("notes", owners=("key:key-ben",)))).store_id
        file = upload(tmp_path / "up", 1, TEXT)
        await knowledge.add_files(BEN, store_id, [file])
        put = [one.file_id for one in await settled(library, store_id, LORD)]
        folder = await knowledge.add_folder(LORD, store_id, str(tmp_path / "folder"), True)
        again = await knowledge.add_folder(BEN, store_id, str(tmp_path / "folder"), False)
        listed = [[one.folder_id for one in await knowledge.folders(reader)] for reader in (LORD, BEN, ANA)]
        await knowledge.drop_folder(BEN, folder.folder_id)
        await knowledge.forget_file(BEN, file.file_id)
        left = await knowledge.files(LORD, store_id)

    assert again.folder_id == folder.folder_id
    assert listed == [[folder.folder_id], [folder.folder_id], []]
    assert (put, left) == ([file.file_id], ())


async def test_a_space_whose_last_owner_is_erased_is_left_to_the_admins_of_its_tenant_only(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library, reading(library):
        knowledge, made = library.knowledge, list[str]()
        for number, one in enumerate((LORD, ANA)):
            made.append((await knowledge.create_store(one, NewStore("notes"))).store_id)
            await knowledge.add_files(one, made[number], [upload(tmp_path / "up", number, TEXT)])
            await settled(library, made[number], one)
            await knowledge.change_store(one, made[number], StoreChange(owners=("user:dan",)))
        await library.erasable.erase(sought("e1", b"k" * KEY_BYTES, Person("dan")))
        owned = [
            [one for one in made if may_change(reader, await row_of(library, one))] for reader in (*ALL, REGISTRAR)
        ]
        seen = [[one.store_id for one in await knowledge.stores(reader)] for reader in (LORD, ADMIN, REGISTRAR)]

    assert owned == [[]] * 4 + [[made[1]]] + [[]] * 4
    assert seen == [[made[0]], [made[1]], []]


async def row_of(library: OpenLibrary, store_id: str) -> StoreRow:
    row = await library.shelves.ask(library.shelves.catalogue.store, store_id)
    assert row is not None
    return row


async def test_what_was_everyones_while_that_was_the_owner_alone_stays_his(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library:
        wanted = NewStore("notes", readers=("group:pupils", EVERYONE))
        made = [(await library.knowledge.create_store(one, wanted)).store_id for one in (LORD, ANA)]
    with closing(sqlite3.connect(tmp_path / "library.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 2")
    async with opened(tmp_path, WordEncoders()) as library:
        his = await library.knowledge.store(LORD, made[0])
        hers = await library.knowledge.store(ANA, made[1])

    assert (his.owners, his.readers) == (("key:key-lord",), ("group:pupils",))
    assert hers.readers == ("group:pupils", EVERYONE)


async def test_usual_stores_are_as_shared_after_a_start_as_before(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library:
        store = await library.knowledge.create_store(ANA, NewStore("notes"))
        await library.knowledge.set_usual(ANA, store.store_id, ["qwen"], [])
        await library.knowledge.change_store(ANA, store.store_id, StoreChange(readers=()))
    async with opened(tmp_path, WordEncoders()) as library:
        assert library.knowledge.usual_stores(ANA, "qwen") == (store.store_id,)
        assert library.knowledge.usual_stores(COLLEAGUE, "qwen") == ()


async def test_an_admin_may_share_and_drop_what_he_cannot_read_and_reads_it_once_it_is_granted(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library, reading(library):
        knowledge = library.knowledge
        store_id = (await knowledge.create_store(ANA, NewStore("notes"))).store_id
        await knowledge.add_files(ANA, store_id, [upload(tmp_path / "up", 1, TEXT)])
        await settled(library, store_id)
        ask = Ask("harvest budget", (store_id,))
        with pytest.raises(KnowledgeError, match="Grant it to yourself first") as refused:
            await knowledge.search(ADMIN, ask)
        renamed = await trouble(knowledge.change_store(ADMIN, store_id, StoreChange(name="x", readers=("role:admin",))))
        classed = await trouble(knowledge.change_store(ADMIN, store_id, StoreChange(data_class="private")))
        await knowledge.change_store(ADMIN, store_id, StoreChange(readers=("key:key-head",)))
        found = await knowledge.search(ADMIN, ask)
        changes = await trouble(knowledge.drop_file(ADMIN, store_id, f"file-{1:032x}"))
        await knowledge.drop_store(ADMIN, store_id)

    assert refused.value.trouble == "forbidden"
    assert (renamed, classed, changes) == ("forbidden",) * 3
    assert [one.text for one in found.chunks] == [TEXT]


async def test_a_space_always_has_an_owner(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library:
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes"))).store_id
        with pytest.raises(KnowledgeError, match="next owner"):
            await library.knowledge.change_store(ANA, store_id, StoreChange(owners=()))
        given = await library.knowledge.change_store(ANA, store_id, StoreChange(owners=("user:dan",)))
        gone = await trouble(library.knowledge.store(ANA, store_id))
        still = await library.knowledge.store(PUPIL, store_id)

    assert (given.owners, gone, still.store_id) == (("user:dan",), "not_found", store_id)


async def test_licensed_material_is_found_marked_and_never_told_whole_to_a_mere_reader(tmp_path: Path) -> None:
    book = "\n\n".join(f"Chapter {number}. " + "The harvest budget grows with rain. " * 60 for number in range(12))
    async with opened(tmp_path, WordEncoders()) as library, reading(library):
        knowledge = library.knowledge
        wanted = NewStore("book", readers=("key:key-cleo",), licence="Editorial Norte, class 7 only")
        store = await knowledge.create_store(ANA, wanted)
        file = upload(tmp_path / "up", 1, book)
        await knowledge.add_files(ANA, store.store_id, [file])
        await settled(library, store.store_id)
        ask = Ask("harvest budget", (store.store_id,), limit=50, budget_tokens=500)
        read, owned = await knowledge.search(COLLEAGUE, ask), await knowledge.search(ANA, ask)
        with pytest.raises(KnowledgeError, match="licensed material") as refused:
            await knowledge.texts(COLLEAGUE, store.store_id, file.file_id)
        whole = await knowledge.texts(ANA, store.store_id, file.file_id)

    assert refused.value.trouble == "forbidden"
    assert 0 < sum(len(one.text) for one in read.chunks) <= CHARACTERS < sum(len(one.text) for one in owned.chunks)
    assert sum(map(len, whole)) > CHARACTERS
    assert {one.licence for one in read.chunks} == {one.licence for one in read.passages} == {wanted.licence}
    assert all(one.source.endswith("(licensed: Editorial Norte, class 7 only)") for one in read.passages)
    assert "(licensed: Editorial Norte, class 7 only)" in read.context


async def test_spaces_from_before_are_their_tenants_to_read_and_their_makers_to_change(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders()) as library:
        made = [(await library.knowledge.create_store(one, NewStore("notes"))).store_id for one in (ANA, PUPIL)]
    with closing(sqlite3.connect(tmp_path / "library.db", isolation_level=None)) as connection:
        for field in ("owners", "readers", "data_class", "licence"):
            connection.execute(f"UPDATE stores SET row = CAST(json_remove(CAST(row AS TEXT), '$.{field}') AS BLOB)")
        connection.execute("PRAGMA user_version = 1")
    async with opened(tmp_path, WordEncoders()) as library:
        stores = [await library.knowledge.store(COLLEAGUE, one) for one in made]
        changes = [await trouble(library.knowledge.change_store(ANA, one, StoreChange(name="x"))) for one in made]
        hidden = await trouble(library.knowledge.store(BEN, made[0]))

    assert [(one.owners, one.readers, one.data_class) for one in stores] == [
        (("key:key-ana",), (EVERYONE,), "private"), (("user:dan",), (EVERYONE,), "private"),
    ]  # fmt: skip
    assert (changes, hidden) == ([None, "forbidden"], "not_found")


async def test_folders_are_listed_to_those_who_may_read_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "state").mkdir()
    async with opened(tmp_path / "state", WordEncoders()) as library:
        knowledge = library.knowledge
        store_id = (await knowledge.create_store(ANA, NewStore("notes", readers=("key:key-cleo",)))).store_id
        folder = await knowledge.add_folder(ANA, store_id, str(tmp_path / "folder"), True)
        seen = [[one.folder_id for one in await knowledge.folders(reader)] for reader in EVERYBODY]
        asked = (COLLEAGUE, ADMIN, PUPIL, ANA)
        dropped = [await trouble(knowledge.drop_folder(one, folder.folder_id)) for one in asked]

    assert seen == [[folder.folder_id], [folder.folder_id], [], [], [], [], []]
    assert dropped == ["forbidden", "not_found", "not_found", None]
