"""What is the Weaviate store's own: filters for its server, which servers it takes, and what a broken write leaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from weaviate.classes.query import Filter as On

from cli.wire_rag import open_store, weaviate_place
from cluster.config_rag import RagSection, WeaviateSection
from inventory.paths import StatePaths
from rag.filters import Condition, Filter, Group
from rag.stores.contract import StoreError
from rag.stores.weaviate import WeaviateStore
from rag.stores.weaviate_asking import CANDIDATES
from rag.stores.weaviate_client import LEAST_VERSION, refuse_old
from rag.stores.weaviate_values import attribute_word, number_property, server_filter
from support.manual_clock import ManualClock
from support.rag_stores import asking, place_of, put, space
from support.weaviate_wire import WeaviateWire, weaviate_wire

ROOT = Path(__file__).parents[2]
NOTES = space("notes")
YEAR, SUBJECT = number_property("year"), On.by_property("attributes")


@pytest.fixture
async def wire() -> AsyncIterator[WeaviateWire]:
    async with weaviate_wire() as wire:
        yield wire


@pytest.fixture
async def store(wire: WeaviateWire, tmp_path: Path) -> AsyncIterator[WeaviateStore]:
    store = WeaviateStore(place_of(wire, tmp_path), ManualClock())
    await store.make_space(NOTES)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        (Condition("eq", "a", "x"), SUBJECT.contains_any(['["a", "x"]'])),
        (Condition("in", "a", ("x", True)), SUBJECT.contains_any(['["a", "x"]', '["a", true]'])),
        (Condition("ne", "a", 1.0), SUBJECT.contains_none(['["a", 1.0]'])),
        (Condition("gte", "year", 2026.0), On.by_property(YEAR).greater_or_equal(2026.0)),
        (Condition("gte", "unknown", 2026.0), None),
        (Condition("gt", "a", "text"), None),
        (Condition("gt", "a", False), None),
        (
            Group("and", (Condition("eq", "a", "x"), Condition("gt", "a", "text"))),
            On.all_of([SUBJECT.contains_any(['["a", "x"]'])]),
        ),
        (Group("or", (Condition("eq", "a", "x"), Condition("gt", "a", "text"))), None),
    ],
)
def test_the_server_leaves_out_nothing_that_is_meant(told: Filter, asked: object) -> None:
    assert repr(server_filter(told, {YEAR})) == repr(asked)


def test_attributes_of_another_kind_are_other_words() -> None:
    words = {attribute_word("a", value) for value in ("1", 1.0, True, "true", "1.0")}
    assert len(words) == 5
    assert attribute_word("a", 0.0) == attribute_word("a", -0.0)


@pytest.mark.parametrize("version", ["1.37.9", "1.9.0", "0.40.0", "unknown"])
async def test_an_older_server_is_refused_with_what_to_do(version: str, tmp_path: Path) -> None:
    async with weaviate_wire("1.37.9") as wire:
        place = place_of(wire, tmp_path)
        with pytest.raises(StoreError, match=r"is version .*; potluck needs 1\.38 or newer: upgrade it"):
            refuse_old(version, place)
        with pytest.raises(StoreError, match=r"is version 1\.37\.9"):
            await WeaviateStore(place, ManualClock()).spaces("school")
    refuse_old("1.38.0", place)
    refuse_old("2.0.1-rc.1", place)


async def test_a_wrong_key_is_told_with_its_file(wire: WeaviateWire, tmp_path: Path) -> None:
    place = place_of(wire, tmp_path)
    (tmp_path / "weaviate-key").write_text("another")
    with pytest.raises(StoreError, match=r"is its key the one in .*weaviate-key"):
        await WeaviateStore(place, ManualClock()).spaces("school")


async def test_a_server_that_is_away_is_told_with_its_place(tmp_path: Path) -> None:
    async with weaviate_wire() as wire:
        place = place_of(wire, tmp_path)
    with pytest.raises(StoreError, match=rf"Weaviate at http://127\.0\.0\.1:{place.port} .* does it run"):
        await WeaviateStore(place, ManualClock()).spaces("school")


async def test_chunks_of_a_write_that_broke_off_are_no_hits_and_go_with_the_next(
    wire: WeaviateWire, store: WeaviateStore
) -> None:
    first = await put(store, NOTES.space_id, "a.md", "as it was")
    await put(store, NOTES.space_id, "a.md", "as it is", "second part")
    (documents,) = wire.shelves["PotluckDocuments"].tenants.values()
    (record,) = documents.values()
    before = record.properties["versions"]
    await put(store, NOTES.space_id, "a.md", "never committed", "nor this", "nor that")
    record.properties["versions"] = before  # the store died before it said that version 3 is whole
    documents[record.uuid] = record

    hits = await store.search([NOTES.space_id], asking("never committed"))
    assert {hit.version.number for hit in hits} <= {2}
    await put(store, NOTES.space_id, "a.md", "as it is at last")
    assert [hit.chunk.content.text for hit in await store.search([NOTES.space_id], asking("never committed"))] == [
        "as it is at last"
    ]
    assert len(await store.versions(NOTES.space_id, first.document_id)) == 3


async def test_more_is_asked_for_where_others_come_first(wire: WeaviateWire, store: WeaviateStore) -> None:
    """What the server cannot leave out is left out here, however much of it comes first."""
    await put(store, NOTES.space_id, "near.md", *["the same words"] * (2 * CANDIDATES), attributes={"by": "anna"})
    await put(store, NOTES.space_id, "far.md", "quite other words", attributes={"by": "zoe"})
    (hit,) = await store.search([NOTES.space_id], asking("the same words", filter=Condition("gt", "by", "m")))

    assert hit.version.document.name == "far.md"
    assert wire.near_limits == [CANDIDATES, 4 * CANDIDATES]


async def test_a_removal_that_broke_off_is_finished(wire: WeaviateWire, store: WeaviateStore) -> None:
    version = await put(store, NOTES.space_id, "a.md", *[f"part {number}" for number in range(12)])
    (documents,) = wire.shelves["PotluckDocuments"].tenants.values()
    next(iter(documents.values())).properties["versions"] = "[]"  # hidden, and then the store died

    assert await store.documents(NOTES.space_id) == ()
    assert await store.search([NOTES.space_id], asking("part")) == ()
    assert await store.remove(NOTES.space_id, version.document_id) is True
    assert all(not left for name, shelf in wire.shelves.items() if "Chunks" in name for left in shelf.tenants.values())


def test_the_servers_names_tell_nothing_of_tenants_and_spaces() -> None:
    from rag.stores.weaviate_values import tenant_of

    name = tenant_of(NOTES.space_id)
    assert len(name) == 32 and "notes" not in name and name != tenant_of(space("notes", "clinic").space_id)


def test_cluster_yaml_says_which_store(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    told = WeaviateSection.model_validate({"url": "https://cpu.home:8443", "api_key_file": "/etc/potluck/key"})
    place = weaviate_place(told)
    assert (place.host, place.port, place.secure, place.grpc_host, place.grpc_port) == (
        "cpu.home", 8443, True, "cpu.home", 50051
    )  # fmt: skip
    section = RagSection.model_validate({"store": {"weaviate": {"url": "http://127.0.0.1:8080"}}})
    assert isinstance(open_store(paths, section, ManualClock()), WeaviateStore)
    assert type(open_store(paths, RagSection(), ManualClock())).__name__ == "EmbeddedStore"


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"url": "http://cpu.home:8080"}, "plain HTTP"),
        ({"url": "http://127.0.0.1:8080", "grpc": "cpu.home:50051"}, "no TLS"),
        ({"url": "https://cpu.home/weaviate"}, "ends after the port"),
        ({"url": "https://cpu.home", "prefix": "lower"}, "prefix"),
    ],
)
def test_a_place_that_cannot_be_is_refused(told: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        WeaviateSection.model_validate(told)


def test_the_compose_file_starts_a_server_that_keeps_to_itself() -> None:
    told = yaml.safe_load((ROOT / "deploy" / "compose" / "weaviate.yaml").read_text())
    server = told["services"]["weaviate"]
    settings = server["environment"]

    version = tuple(map(int, server["image"].partition(":-")[2].rstrip("}").split(".")[:2]))
    assert version >= LEAST_VERSION
    assert settings["DISABLE_TELEMETRY"] == "true" and settings["AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED"] == "false"
    assert settings["AUTHENTICATION_APIKEY_ENABLED"] == "true" and settings["ENABLE_MODULES"] == ""
    assert settings["AUTHENTICATION_APIKEY_ALLOWED_KEYS"].startswith("${WEAVIATE_API_KEY:?")  # no default key
    assert settings["ASYNC_INDEXING"] == "false" and settings["ENABLE_API_BASED_MODULES"] == "false"
    assert all(port.startswith("${WEAVIATE_BIND:-127.0.0.1}:") for port in server["ports"])
    assert server["volumes"] == ["weaviate:/var/lib/weaviate"] and "weaviate" in told["volumes"]
    assert "/v1/.well-known/ready" in server["healthcheck"]["test"][-1]
