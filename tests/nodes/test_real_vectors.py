"""The real llama.cpp with models that make vectors or ranks: started for that by what their files say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inventory.catalog import Purpose
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import ModelStore
from inventory.store_records import held_of
from nodes.engine_body import Workshop
from nodes.engine_envs import EngineEnvironment
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.launching import NodeFacts, NodeLauncher
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.rates_book import RatesBook
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import supervising
from support.bert_gguf import CONTEXT, WIDTH, write_bert
from support.nodes import until_state
from support.real_engines import CHIEF, client_of, this_machine

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def running(
    root: Path, environment: EngineEnvironment, engines_dir: Path, purpose: Purpose
) -> AsyncIterator[EngineSnapshot]:
    """As a node would start it: with more context than the model was trained for."""
    assert purpose != "write"
    assert environment.kind == "llamacpp"
    paths = StatePaths.at(root / purpose).ensure()
    store = ModelStore(paths.models, SystemClock())
    held = held_of(store.import_path(write_bert(root / f"{purpose}.gguf", purpose), "tiny"))
    launcher = NodeLauncher(engines_dir, store, {"llamacpp": LlamaCppAdapter()}, NodeFacts(this_machine()))
    rates = RatesBook(paths.root / "rates.json")  # it is not profiled: it could not answer
    workshop = Workshop(paths, SystemClock(), {"llamacpp": LlamaCppAdapter()}, launcher, rates=rates)
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            supervisor.ensure(EngineSpec(EngineId("tiny-1"), "llamacpp", held.ref, 2048, slots=2), CHIEF)
            yield await until_state(supervisor, "ready")
    finally:
        reap(paths.leases, grace_s=1.0)


async def test_a_model_for_vectors_makes_them_of_texts_and_of_tokens_and_writes_nothing(
    tmp_path: Path, llamacpp: EngineEnvironment, engines_dir: Path
) -> None:
    async with running(tmp_path, llamacpp, engines_dir, "embed") as engine, client_of(engine) as client:
        texts = (
            await client.post("/v1/embeddings", json={"model": "tiny", "input": ["hola", "hello", "a" * 400]})
        ).json()
        tokens = (await client.post("/v1/embeddings", json={"model": "tiny", "input": [5, 6, 7]})).json()
        too_long = await client.post("/v1/embeddings", json={"model": "tiny", "input": "a" * (CONTEXT + 100)})
        chat = await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
        after = await client.post("/v1/embeddings", json={"model": "tiny", "input": "hola"})

    assert [len(row["embedding"]) for row in texts["data"]] == [WIDTH] * 3
    assert len(tokens["data"]) == 1
    assert too_long.status_code >= 400
    assert chat.status_code >= 400
    assert after.json()["data"][0]["embedding"] == pytest.approx(texts["data"][0]["embedding"], abs=1e-4)


async def test_a_model_for_ranks_ranks(tmp_path: Path, llamacpp: EngineEnvironment, engines_dir: Path) -> None:
    asked = {"model": "tiny", "query": "hola", "documents": ["hola mundo", "hello world", "adiós"]}
    async with running(tmp_path, llamacpp, engines_dir, "rerank") as engine, client_of(engine) as client:
        results = (await client.post("/v1/rerank", json=asked)).json()["results"]

    scores = [row["relevance_score"] for row in results]
    assert scores == sorted(scores, reverse=True)
    assert {row["index"] for row in results} == {0, 1, 2}
