"""Answers that are given again, in every dialect, and to nobody else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from inventory.clock import SystemClock
from nodes.relay.contract import Address
from router.cache_store import CacheStore, clear, kept_in
from support.engines import FaultEngine, running_fault_engine
from support.gateway import KEY, MODEL, Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.spoken import DIALECTS, Case, ask

OTHER_TENANT = "pl_other1_" + "t" * 43
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 12}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEngine]:
    with running_fault_engine(tmp_path_factory.mktemp("engine"), "llamacpp") as engine:
        yield engine


@asynccontextmanager
async def keeping_gateway(
    engine: FaultEngine, root: Path, kept_s: float | None = 60.0, limit_bytes: int = 1 << 20
) -> AsyncIterator[tuple[Running, CacheStore]]:
    root.mkdir(parents=True, exist_ok=True)
    store = CacheStore(root / "cache.db", SystemClock(), lambda: limit_bytes)
    try:
        at = engine_at(Address("127.0.0.1", engine.port), kind=engine.kind)
        async with running_gateway(root, [at], cache=store) as running:
            other = replace(key_record(OTHER_TENANT), tenant="school")
            running.view.install_access(access_with(running.paths, (key_record(), other), sequence=2))
            serve(running, engine, 2, kept_s)
            yield running, store
    finally:
        store.close()


def serve(running: Running, engine: FaultEngine, sequence: int, kept_s: float | None, revision: str = "0" * 12) -> None:
    """From here on the model is of this revision, and its answers are kept for so long."""
    at = engine_at(Address("127.0.0.1", engine.port), kind=engine.kind)
    snapshot = cluster_of([replace(at, model=replace(at.model, revision=revision))], sequence=sequence)
    (view,) = snapshot.models
    assert view.ref is not None
    view = replace(view, answers_kept_s=kept_s, ref=replace(view.ref, revision=revision))
    running.view.install_cluster(replace(snapshot, models=(view,)))


def script_twice(engine: FaultEngine) -> None:
    """So that a second answer would not be the first."""
    engine.script({"content": "Because of this."}, {"content": "Because of that."})


async def text_of(http: httpx2.AsyncClient, headers: dict[str, str] | None = None) -> tuple[str, str | None]:
    """The answer, and what its header says of the cache."""
    answer = await http.post("/v1/chat/completions", json=ASK, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"], answer.headers.get("x-potluck-cache")


@pytest.mark.parametrize(
    ("dialect", "case"),
    [(name, case) for name, speaks in DIALECTS.items() for case in ("plain", "tools") if case in speaks.cases],
)
@pytest.mark.parametrize("first_streamed", [False, True])
async def test_whoever_asks_again_gets_the_same_whole_or_as_a_stream(
    engine: FaultEngine, tmp_path: Path, dialect: str, case: Case, first_streamed: bool
) -> None:
    speaks = DIALECTS[dialect]
    turn: dict[str, object] = {
        "content": "Two words.",
        "tool_calls": [("weather", {"town": "Oslo"})] if case == "tools" else [],
    }
    engine.script(turn)
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        first = await ask(http, speaks, MODEL, case, first_streamed)
        store.flush()
        finished = engine.state()["finished"]
        whole, streamed = [await ask(http, speaks, MODEL, case, way) for way in (False, True)]

        assert engine.state()["finished"] == finished
        for again in (whole, streamed):
            assert (again.status, again.text, again.tools, again.end) == (200, first.text, first.tools, first.end)
            assert again.proper
            assert again.output_tokens == first.output_tokens


async def test_an_answer_belongs_to_its_tenant(engine: FaultEngine, tmp_path: Path) -> None:
    script_twice(engine)
    async with keeping_gateway(engine, tmp_path) as (running, store):
        async with running.http(KEY) as http:
            assert await text_of(http) == ("Because of this.", "miss")
            store.flush()
        async with running.http(OTHER_TENANT) as http:
            assert await text_of(http) == ("Because of that.", "miss")
            store.flush()
        async with running.http(KEY) as http:
            assert await text_of(http) == ("Because of this.", "hit")


async def test_a_key_may_have_answers_given_again_where_its_model_does_not(engine: FaultEngine, tmp_path: Path) -> None:
    script_twice(engine)
    keeping = replace(key_record(OTHER_TENANT), answers_kept_s=60)
    async with keeping_gateway(engine, tmp_path, kept_s=None) as (running, store):
        running.view.install_access(access_with(running.paths, (key_record(), keeping), sequence=3))
        async with running.http(OTHER_TENANT) as http:
            assert await text_of(http) == ("Because of this.", "miss")
            store.flush()
            assert await text_of(http) == ("Because of this.", "hit")
        async with running.http(KEY) as http:
            assert await text_of(http) == ("Because of that.", None), "the same tenant's, and yet another key"


async def test_other_weights_under_the_same_name_answer_anew(engine: FaultEngine, tmp_path: Path) -> None:
    script_twice(engine)
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        assert await text_of(http) == ("Because of this.", "miss")
        store.flush()
        serve(running, engine, 3, 60.0, revision="1" * 12)
        assert await text_of(http) == ("Because of that.", "miss")
        serve(running, engine, 4, 60.0)
        assert await text_of(http) == ("Because of this.", "hit")


async def test_a_client_that_wants_a_fresh_answer_gets_one_that_is_not_kept(
    engine: FaultEngine, tmp_path: Path
) -> None:
    script_twice(engine)
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        assert await text_of(http) == ("Because of this.", "miss")
        store.flush()
        assert await text_of(http, {"cache-control": "max-age=0, No-Cache"}) == ("Because of that.", None)
        assert await text_of(http) == ("Because of this.", "hit")


async def test_without_the_operators_word_every_request_goes_to_an_engine(engine: FaultEngine, tmp_path: Path) -> None:
    script_twice(engine)
    async with keeping_gateway(engine, tmp_path, kept_s=None) as (running, store), running.http() as http:
        assert await text_of(http) == ("Because of this.", None)
        store.flush()
        assert await text_of(http) == ("Because of that.", None)
        assert kept_in(tmp_path / "cache.db") == []


async def test_a_broken_answer_is_not_kept(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        engine.inject(die_after=engine.state()["tokens"] + 3, die_how="close", tokens_per_s=100)
        try:
            await http.post("/v1/chat/completions", json=ASK | {"stream": True})
        finally:
            engine.inject(die_after=0, tokens_per_s=0)
        store.flush()
        assert kept_in(tmp_path / "cache.db") == []


async def test_a_message_given_again_has_an_id_of_its_own(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store), running.openai() as client:
        ids = set()
        for _ in range(3):
            ids.add((await client.chat.completions.create(**ASK)).id)  # type: ignore[call-overload]  # a dict of its arguments
            store.flush()
        assert len(ids) == 3


async def test_usage_and_records_tell_what_took_no_engine(engine: FaultEngine, tmp_path: Path) -> None:
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        await text_of(http)
        store.flush()
        await text_of(http)
        asked, given = running.finished()
        assert (asked.cache_hit, asked.node_id is not None, (asked.output_tokens or 0) > 0) == (False, True, True)
        assert (given.cache_hit, given.node_id, given.output_tokens, given.outcome) == (True, None, None, "ok")
        metrics = (await http.get("/metrics")).text
        assert 'potluck_cache_lookups_total{kind="answers",result="hit"} 1.0' in metrics
        assert 'potluck_cache_lookups_total{kind="answers",result="miss"} 1.0' in metrics


async def test_what_is_cleared_is_asked_again(engine: FaultEngine, tmp_path: Path) -> None:
    script_twice(engine)
    async with keeping_gateway(engine, tmp_path) as (running, store), running.http() as http:
        await text_of(http)
        store.flush()
        assert clear(tmp_path / "cache.db", model="another") == 0
        assert clear(tmp_path / "cache.db", tenant="home", model=MODEL) == 1
        assert await text_of(http) == ("Because of that.", "miss")
