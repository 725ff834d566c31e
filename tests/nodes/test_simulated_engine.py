"""A simulated engine as a process, started as every engine is: what it says, and that it says what it is."""

import asyncio
import base64
import json
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from inventory.catalog import ArtifactId, ModelName, ModelRef, Purpose
from inventory.clock import SystemClock
from inventory.demo_machines import MAC_STUDIO
from inventory.described_models import writing_model
from inventory.paths import StatePaths
from nodes.engine_body import LaunchPlan, Workshop
from nodes.engines.mlx import MlxAdapter
from nodes.engines.simulated import SimulatedAdapter
from nodes.engines.simulated_pace import SimulatedPace, pace_of
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.rates import Rates
from nodes.snapshot import EngineId
from nodes.supervisor import supervising
from support.nodes import until_state
from support.real_engines import CHIEF, client_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "qwen3-235b-a22b"
DESCRIBED = writing_model(MODEL, "mlx", "4bit")
REF = ModelRef(ModelName(MODEL), "simulated", ArtifactId("5e" * 32), None, None)
PACE = replace(pace_of(DESCRIBED.spec, MAC_STUDIO.pace), load_s=0.2)
ADAPTER = SimulatedAdapter(MlxAdapter(), {MODEL: PACE}, "mac-studio")
QUICK = replace(PACE, rates=Rates(50_000.0, 1e6, 0.0005, 0.0, 0.0))
SPEC = EngineSpec(EngineId(f"{MODEL}.mac-studio.1"), "mlx", REF, context_tokens=4096, slots=2)
HELLO = [{"role": "user", "content": "Hello there, who are you?"}]


class Launcher:
    def __init__(self, purpose: Purpose) -> None:
        self._purpose = purpose

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        return LaunchPlan("/no/weights", sys.executable, "simulated", accelerated=True, purpose=self._purpose)


@asynccontextmanager
async def engine(
    root: Path, purpose: Purpose = "write", pace: SimulatedPace = QUICK
) -> AsyncIterator[httpx2.AsyncClient]:
    paths = StatePaths.at(root).ensure()
    adapters = {ADAPTER.kind: replace(ADAPTER, paces={MODEL: pace})}
    workshop = Workshop(paths, SystemClock(), adapters, Launcher(purpose))
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            supervisor.ensure(SPEC, CHIEF)
            async with client_of(await until_state(supervisor, "ready")) as client:
                yield client
    finally:
        reap(paths.leases, grace_s=1.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def writer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    async with engine(tmp_path_factory.mktemp("engine")) as client:
        yield client


async def events(client: httpx2.AsyncClient, **asked: object) -> list[dict[str, object]]:
    body = {"model": MODEL, "messages": HELLO, "stream": True, **asked}
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def until_it_has(client: httpx2.AsyncClient, running: int, waiting: int) -> None:
    """By its own figures, as the node reads them."""
    async with asyncio.timeout(60):
        while True:
            load = ADAPTER.parse_load((await client.get("/metrics")).text)
            if (load.running, load.waiting) == (running, waiting):
                return
            await asyncio.sleep(0.01)


async def test_an_answer_begins_with_what_it_is_and_names_machine_and_pace(writer: httpx2.AsyncClient) -> None:
    answer = (await writer.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO})).json()

    text = answer["choices"][0]["message"]["content"]
    assert text.startswith(
        "SIMULATED: no model has run. A simulated mlx engine stands in for qwen3-235b-a22b on mac-studio."
    )
    assert f"{QUICK.rates.prefill:,.0f} tokens of a prompt" in text
    assert (answer["system_fingerprint"], answer["choices"][0]["finish_reason"]) == ("simulated", "stop")
    assert answer["usage"]["completion_tokens"] > 50


async def test_a_stream_is_the_same_answer_token_by_token_and_the_limit_holds(writer: httpx2.AsyncClient) -> None:
    whole = (await writer.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO})).json()
    told = await events(writer, max_tokens=12, stream_options={"include_usage": True})

    text = "".join(one["choices"][0]["delta"].get("content", "") for one in told if one["choices"])  # type: ignore[index]  # JSON
    assert whole["choices"][0]["message"]["content"].startswith(text)
    assert told[-1]["usage"]["completion_tokens"] == 12  # type: ignore[index]  # JSON
    assert told[-2]["choices"][0]["finish_reason"] == "length"  # type: ignore[index]  # JSON
    assert {one["system_fingerprint"] for one in told} == {"simulated"}


async def test_no_event_comes_before_the_first_token(writer: httpx2.AsyncClient) -> None:
    """Whoever measures when an answer begins would take it for one."""
    first, second, *_ = await events(writer, max_tokens=4)

    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "SIMUL"}  # type: ignore[index]  # JSON
    assert second["choices"][0]["delta"] == {"content": "ATED:"}  # type: ignore[index]  # JSON


async def test_what_was_read_before_is_not_read_again(writer: httpx2.AsyncClient) -> None:
    messages = [{"role": "user", "content": "A long question of this test. " * 30}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 2}
    first = (await writer.post("/v1/chat/completions", json=body)).json()["usage"]
    again = (await writer.post("/v1/chat/completions", json=body)).json()["usage"]

    assert first["prompt_tokens_details"]["cached_tokens"] < 10
    assert again["prompt_tokens_details"]["cached_tokens"] == again["prompt_tokens"] - 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_slot(tmp_path: Path, stream: bool) -> None:
    """Two slots and three requests, each of which would take seconds."""
    words = "tell me everything " * 400
    body = {"model": MODEL, "messages": [{"role": "user", "content": words}], "stream": stream}
    async with engine(tmp_path, pace=PACE) as writer:
        async with httpx2.AsyncClient(base_url=writer.base_url, headers=writer.headers, timeout=120) as leaving:
            requests = [leaving.build_request("POST", "/v1/chat/completions", json=body) for _ in range(3)]
            asked = [asyncio.create_task(leaving.send(request)) for request in requests]
            await until_it_has(writer, running=2, waiting=1)
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        await until_it_has(writer, running=0, waiting=0)
        load = ADAPTER.parse_load((await writer.get("/metrics")).text)

    assert load.output_tokens_total == 0


async def test_a_prompt_longer_than_the_context_and_what_is_no_request_are_refused(writer: httpx2.AsyncClient) -> None:
    long = await writer.post("/v1/completions", json={"model": MODEL, "prompt": "word " * 5000})
    wrong = await writer.post("/v1/chat/completions", content=b'{"messages": 7}')

    assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert wrong.status_code == 400 and "cannot read" in wrong.json()["error"]["message"]


async def test_without_its_secret_it_tells_only_that_it_lives(writer: httpx2.AsyncClient) -> None:
    async with httpx2.AsyncClient(base_url=writer.base_url, timeout=60) as stranger:
        answers = [(await stranger.get(path)).status_code for path in ("/health", "/metrics", "/v1/models")]

    assert answers == [200, 401, 401]


async def test_vectors_are_the_same_for_the_same_text_in_both_encodings(tmp_path: Path) -> None:
    async with engine(tmp_path, "embed") as client:
        plain = (await client.post("/v1/embeddings", json={"model": MODEL, "input": ["one", "two", "one"]})).json()
        asked = {"model": MODEL, "input": "one", "encoding_format": "base64"}
        packed = (await client.post("/v1/embeddings", json=asked)).json()
        writes = await client.post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO})

    one, two, again = (row["embedding"] for row in plain["data"])
    assert one == again != two
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-3)
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(one)
    assert plain["usage"]["prompt_tokens"] == 3
    assert writes.status_code == 404
