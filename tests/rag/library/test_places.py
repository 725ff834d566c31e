"""Documents of a privacy class: parsed and kept only in its zones, and waiting where there is no such place."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.jobs import JobKind, JobOutcome, JobPart
from cluster.knowledge import Ask, KnowledgeError, NewStore, StoreChange, StoreFile
from cluster.privacy import PrivacyRules
from cluster.whereabouts import Whereabouts
from nodes.snapshot import NodeId
from rag.embedding import NoPlaceError
from rag.library.ingest import TRIES
from rag.library.machines import HERE, Machines
from rag.library.opened import OpenLibrary
from rag.library.places import ELSEWHERE, Kept, Places
from rag.library.reading import Loaded, Parsed
from rag.library.rows import FileRow
from rag.parsing.wire import ParseAnswer
from rag.values import NewChunk
from support.libraries import ANA, ParsingHere, WordEncoders, opened, reading, settled, until, upload
from support.manual_clock import ManualClock

BOX, RED, BLUE = NodeId("box"), NodeId("red"), NodeId("blue")
IN_BOTH = frozenset({"house", "ward"})
RULES = PrivacyRules(
    MappingProxyType({"private": None, "school": frozenset({"house"}), "clinic": frozenset({"ward"}), "both": IN_BOTH})
)
HOUSE = Whereabouts(RULES, {BOX: "house", RED: "house", BLUE: "ward"}, BOX)


class Seen:
    """Implements cluster.privacy.Witness."""

    def __init__(self) -> None:
        self.deeds: list[tuple[NodeId, frozenset[str], str, str]] = []

    def saw(self, node_id: NodeId, classes: frozenset[str], deed: str, about: str, zone: str | None = None) -> None:
        self.deeds.append((node_id, classes, deed, about))


class Fabric:
    """A JobFabric that parses nothing, fails where it is told to, and remembers who was asked."""

    def __init__(self, broken: frozenset[NodeId] = frozenset()) -> None:
        self.broken, self.asked = broken, list[NodeId]()

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        (part,) = parts
        self.asked.append(part.node_id)
        if part.node_id in self.broken:
            return (JobOutcome(part.node_id, None, "it went away"),)
        answer = msgspec.msgpack.encode(ParseAnswer(chunks=(NewChunk("text", 0, 4),)))
        return (JobOutcome(part.node_id, answer, None),)


def a_file(*classes: str) -> Loaded:
    row = FileRow("file-1", "vs", "school", "a.md", "a.md", "a.md", "in_progress", 0.0, 1, 0.0, ANA)
    return Loaded(row, b"# text", "hash", frozenset(classes))


zones = st.sampled_from(("house", "ward", "attic"))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from((RED, BLUE, NodeId("green"))), zones),
    st.sets(st.sampled_from(tuple(RULES.zones)), min_size=1),
    st.sets(st.sampled_from((RED, BLUE))),
)
def test_no_machine_outside_its_zones_gets_a_file_even_where_others_fail(
    machines: dict[NodeId, str], classes: set[str], broken: set[NodeId]
) -> None:
    fabric, seen = Fabric(frozenset(broken)), Seen()
    places = Places(lambda: Whereabouts(RULES, {BOX: "house", **machines}, BOX), seen)
    parsing = Machines(fabric, lambda: (RED, BLUE, NodeId("green")), ManualClock(), places)

    asyncio.run(parsing.parse(a_file(*classes)))

    allowed, zones_of = RULES.of(classes), {BOX: "house", **machines}
    on_record = [node for node, _, _, _ in seen.deeds]
    if allowed is None:
        assert on_record == []
    else:
        assert {zones_of[node] for node in [*fabric.asked, *on_record]} <= allowed
        assert on_record[: len(fabric.asked)] == fabric.asked


async def test_a_machine_that_may_have_it_is_preferred_and_on_record() -> None:
    fabric, seen = Fabric(), Seen()
    parsing = Machines(fabric, lambda: (RED, BLUE), ManualClock(), Places(lambda: HOUSE, seen))

    assert isinstance(await parsing.parse(a_file("school", "private")), Parsed)
    assert fabric.asked == [RED]
    assert seen.deeds == [(RED, frozenset({"school", "private"}), "parsed", "file-1")]
    assert HERE not in fabric.asked


async def test_a_space_of_a_class_that_may_not_be_here_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, WordEncoders(), places=Places(lambda: HOUSE)) as library:
        made = await library.knowledge.create_store(ANA, NewStore("notes", data_class="school"))
        with pytest.raises(KnowledgeError, match="box is in the zone house, and what is clinic may only be in ward"):
            await library.knowledge.create_store(ANA, NewStore("notes", data_class="clinic"))
        with pytest.raises(KnowledgeError, match="there is no privacy class `secret`"):
            await library.knowledge.create_store(ANA, NewStore("notes", data_class="secret"))
        with pytest.raises(KnowledgeError, match="may only be in ward"):
            await library.knowledge.change_store(ANA, made.store_id, StoreChange(data_class="clinic"))
        changed = await library.knowledge.change_store(ANA, made.store_id, StoreChange(data_class="both"))

    assert (made.data_class, changed.data_class) == ("school", "both")


@pytest.mark.parametrize(("zone", "kept"), [("house", True), ("ward", False), (None, False)])
async def test_a_weaviate_keeps_what_is_bound_only_in_a_zone_that_cluster_yaml_names(
    tmp_path: Path, zone: str | None, kept: bool
) -> None:
    seen = Seen()
    places = Places(lambda: HOUSE, seen, Kept(beside=False, zone=zone))
    async with opened(tmp_path, WordEncoders(), places=places) as library:
        await library.knowledge.create_store(ANA, NewStore("plain"))
        if kept:
            await library.knowledge.create_store(ANA, NewStore("notes", data_class="school"))
        else:
            with pytest.raises(KnowledgeError, match="Weaviate"):
                await library.knowledge.create_store(ANA, NewStore("notes", data_class="school"))
    places.saw(None, frozenset({"school"}), "kept", "file-1")

    assert [node for node, _, _, _ in seen.deeds] == [ELSEWHERE, BOX]


async def test_a_file_waits_where_its_class_may_be_nowhere_here_and_is_read_once_it_may(tmp_path: Path) -> None:
    clock, seen = ManualClock(), Seen()
    now = [HOUSE]
    places = Places(lambda: now[0], seen)
    encoders = WordEncoders()
    async with opened(tmp_path, encoders, clock, ParsingHere(), places) as library:
        knowledge = library.knowledge
        store_id = (await knowledge.create_store(ANA, NewStore("notes", data_class="school"))).store_id
        now[0] = replace(HOUSE, zones={BOX: "attic"})
        file = upload(tmp_path / "up", 1, "The harvest budget.")
        await knowledge.add_files(ANA, store_id, [file])
        async with reading(library):
            waiting = await _told(library, store_id, file.file_id)
            refused = pytest.raises(KnowledgeError, match="cannot be kept here")
            with refused:
                await knowledge.search(ANA, Ask("harvest", (store_id,)))
            asked = len(encoders.asked)
            now[0] = HOUSE
            clock.advance(60.0)
            library.ingest.wake()
            (read,) = await settled(library, store_id)
        found = await knowledge.search(ANA, Ask("harvest", (store_id,)))

    assert waiting.status == "in_progress"
    assert waiting.problem == "it waits: box is in the zone attic, and what is private and school may only be in house"
    assert (asked, read.status, found.classes) == (0, "completed", frozenset({"school"}))
    assert {reader.classes for reader, _, _ in encoders.asked} == {
        frozenset({"private", "school"}),
        frozenset({"school"}),
    }
    assert seen.deeds == [(BOX, frozenset({"private", "school"}), "kept", file.file_id)]


async def test_a_file_waits_as_long_as_no_machine_in_its_zones_makes_vectors(tmp_path: Path) -> None:
    clock, places = ManualClock(), Places(lambda: HOUSE)
    encoders = WordEncoders()
    encoders.only.fails = NoPlaceError("no machine of the zone `house` serves it")
    async with opened(tmp_path, encoders, clock, ParsingHere(), places) as library:
        store_id = (await library.knowledge.create_store(ANA, NewStore("notes", data_class="school"))).store_id
        file = upload(tmp_path / "up", 1, "The harvest budget.")
        await library.knowledge.add_files(ANA, store_id, [file])
        async with reading(library):
            for times in range(1, TRIES + 3):
                await until(partial(_asked, encoders, times), library)
                waiting = await _told(library, store_id, file.file_id)
                clock.advance(60.0)
            encoders.only.fails = None
            clock.advance(60.0)
            (read,) = await settled(library, store_id)
        encoders.only.fails = NoPlaceError("no machine of the zone `house` serves it")
        with pytest.raises(KnowledgeError) as refused:
            await library.knowledge.search(ANA, Ask("harvest", (store_id,)))

    assert (waiting.status, waiting.problem) == ("in_progress", "it waits: no machine of the zone `house` serves it")
    assert read.status == "completed"
    assert (refused.value.trouble, refused.value.code) == ("forbidden", "no_eligible_node")


def _asked(encoders: WordEncoders, times: int) -> bool:
    return len(encoders.asked) >= times


async def _told(library: OpenLibrary, store_id: str, file_id: str) -> StoreFile:
    """The file, once something is said of it."""
    catalogue = library.shelves.catalogue

    def said() -> bool:
        row = catalogue.file(store_id, file_id)
        return row is not None and row.problem is not None

    await until(said, library)
    return await library.knowledge.file(ANA, store_id, file_id)
