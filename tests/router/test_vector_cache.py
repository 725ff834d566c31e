"""Vectors are made once: an engine is asked for texts that its tenant has not asked for before."""

import base64
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cache_rules import CacheRules
from inventory.catalog import Capability
from inventory.clock import SystemClock
from nodes.relay.contract import Address
from router.cache_store import CacheStore, kept_in
from router.vector_cache import shares
from support.engines import FaultEngine, running_fault_engine
from support.fault_engine.vectors import vector_of
from support.gateway import KEY, Running, access_with, engine_at, key_record, running_gateway

OTHER_TENANT = "pl_class1_" + "s" * 43
ABILITIES: dict[str, frozenset[Capability]] = {"toy": frozenset({"embed"})}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEngine]:
    with running_fault_engine(tmp_path_factory.mktemp("engine"), "vllm", "--only-reads") as engine:
        yield engine


@asynccontextmanager
async def keeping_gateway(engine: FaultEngine, root: Path) -> AsyncIterator[tuple[Running, CacheStore]]:
    store = CacheStore(root / "cache.db", SystemClock(), lambda: 1 << 20)
    try:
        at = engine_at(Address("127.0.0.1", engine.port), kind=engine.kind)
        async with running_gateway(root, [at], abilities=ABILITIES, cache=store) as running:
            other = replace(key_record(OTHER_TENANT), tenant="school")
            running.view.install_access(access_with(running.paths, (key_record(), other), sequence=2))
            yield running, store
    finally:
        store.close()


async def vectors(
    running: Running, texts: str | list[str], key: str = KEY, **fields: object
) -> tuple[list[list[float]], int, str | None]:
    """With the tokens that the answer counts, and what its header says of the cache."""
    async with running.http(key) as http:
        body = {"model": "toy", "input": texts, "encoding_format": "float", **fields}
        answer = await http.post("/v1/embeddings", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert [one["index"] for one in said["data"]] == list(range(len(said["data"])))
        found = [one["embedding"] for one in said["data"]]
        return found, said["usage"]["prompt_tokens"], answer.headers.get("x-potluck-cache")


async def test_an_engine_makes_each_vector_once(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store):
        assert await vectors(running, ["one text", "two"]) == ([vector_of("one text"), vector_of("two")], 3, "miss")
        store.flush()
        mixed = ["three more words", "two", "three more words", "one text"]
        assert await vectors(running, mixed) == ([vector_of(text) for text in mixed], 9, "miss")
        store.flush()
        asked = engine.state()["requests"]
        assert await vectors(running, mixed) == ([vector_of(text) for text in mixed], 9, "hit")
        assert await vectors(running, "two") == ([vector_of("two")], 1, "hit")

        assert engine.state()["requests"] == asked
        records = running.finished()
        assert [(one.input_tokens, one.cache_hit) for one in records] == [
            (3, False),
            (3, False),
            (None, True),
            (None, True),
        ]


async def test_an_answer_to_texts_of_which_none_was_known_goes_on_as_it_is(tmp_path: Path) -> None:
    body = {"model": "toy", "input": ["a text", "and another"], "encoding_format": "base64"}
    with running_fault_engine(tmp_path / "named", "vllm", "--only-reads", "--model-name", "toy") as named:
        told = httpx2.post(f"http://127.0.0.1:{named.port}/v1/embeddings", json=body, trust_env=False)
        async with keeping_gateway(named, tmp_path) as (running, store), running.http() as http:
            first = await http.post("/v1/embeddings", json=body)
            store.flush()
            again = await http.post("/v1/embeddings", json=body)

    assert first.content == told.content
    assert [one.headers["x-potluck-cache"] for one in (first, again)] == ["miss", "hit"]
    assert first.json()["data"] == again.json()["data"]


async def test_a_model_has_its_own_name_whatever_its_engine_calls_it(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, _), running.http() as http:
        answer = await http.post("/v1/embeddings", json={"model": "toy", "input": "a text"})
        assert answer.json()["model"] == "toy"


async def test_vectors_come_again_in_every_dialect(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store):
        await vectors(running, ["one text", "two"])
        store.flush()
        asked = engine.state()["requests"]
        async with running.ollama() as client:
            said = await client.embed(model="toy", input=["two", "one text"])
            assert [list(one) for one in said.embeddings] == [vector_of("two"), vector_of("one text")]
            assert said.prompt_eval_count == 3
        async with running.http() as http:
            body = {"model": "toy", "input": "two", "encoding_format": "base64"}
            (packed,) = (await http.post("/v1/embeddings", json=body)).json()["data"]
            assert packed["embedding"] == base64.b64encode(array("f", vector_of("two")).tobytes()).decode()
        assert engine.state()["requests"] == asked


async def test_another_tenant_is_answered_by_an_engine(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store):
        for key, word in ((KEY, "miss"), (OTHER_TENANT, "miss"), (KEY, "hit"), (OTHER_TENANT, "hit")):
            assert (await vectors(running, "a text", key))[2] == word
            store.flush()
        assert [(one.tenant, one.entries) for one in kept_in(tmp_path / "cache.db")] == [("home", 1), ("school", 1)]


async def test_fewer_dimensions_are_other_vectors(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store):
        await vectors(running, "a text")
        store.flush()
        assert (await vectors(running, "a text", dimensions=4))[2] == "miss"


async def test_nothing_is_kept_where_the_operator_wants_none(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store):
        assert running.view.cluster is not None
        off = replace(running.view.cluster, sequence=2, cache=CacheRules(vectors=False))
        running.view.install_cluster(off)
        assert (await vectors(running, "a text"))[2] is None
        store.flush()
        assert kept_in(tmp_path / "cache.db") == []


async def test_token_ids_go_to_an_engine(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, _), running.openai() as client:
        answer = await client.embeddings.create(model="toy", input=[5, 6], encoding_format="float")
        assert answer.data[0].embedding == vector_of([5, 6])


@given(st.integers(0, 10**7), st.lists(st.integers(0, 10**4), min_size=1, max_size=50))
def test_shares_add_up_and_a_larger_text_has_no_smaller_one(total: int, sizes: list[int]) -> None:
    found = shares(total, sizes)
    assert sum(found) == (total if any(sizes) else 0)
    assert all(abs(one - total * size / max(sum(sizes), 1)) <= 1 for one, size in zip(found, sizes, strict=True))
