"""The real llama.cpp, installed by potluck, run by the supervisor, answering with its own model."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx2
import psutil
import pytest
import pytest_asyncio

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.engine_body import LaunchPlan, Workshop
from nodes.engine_envs import EngineEnvironment
from nodes.engines.llamacpp import SERVER_SCRIPT, LlamaCppAdapter
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.process_identity import identify
from nodes.snapshot import EngineLoad, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from nodes.wire import WIRE
from support.leaks import CANARY
from support.nodes import pid_of, until, until_state
from support.provocations import lines_with_a_leak, provoke
from support.real_engines import CHIEF, SMOLLM2, Served, client_of, llamacpp_supervisor
from support.through_gateway import speak_every_dialect

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]  # that of what they share

LONG_PROMPT = " ".join(f"w{number * 7 % 100}" for number in range(450))  # about 1,300 tokens
STORY_TOKENS = 1500


@pytest_asyncio.fixture(loop_scope="session")
async def supervisor(tmp_path: Path, llamacpp: EngineEnvironment) -> AsyncIterator[Supervisor]:
    async with llamacpp_supervisor(tmp_path, llamacpp) as supervisor:
        yield supervisor


def chat(prompt: str, **fields: object) -> dict[str, object]:
    return {"model": "smollm2", "messages": [{"role": "user", "content": f"{CANARY}: {prompt}"}], **fields}


async def busy_slots(client: httpx2.AsyncClient) -> int:
    return sum(slot["is_processing"] for slot in (await client.get("/slots")).json())


async def seconds_until_free(client: httpx2.AsyncClient) -> float:
    start = monotonic()
    while await busy_slots(client):
        assert monotonic() - start < 60, "a slot stayed busy"
        await asyncio.sleep(0.01)
    return monotonic() - start


async def load_of(client: httpx2.AsyncClient) -> EngineLoad:
    return LlamaCppAdapter().parse_load((await client.get("/metrics")).text)


async def until_busy(client: httpx2.AsyncClient) -> None:
    end = monotonic() + 60
    while not await busy_slots(client):
        assert monotonic() < end, "the request never reached a slot"
        await asyncio.sleep(0.01)


async def test_it_answers_those_who_have_its_secret_and_nobody_else(served: Served) -> None:
    engine = served.engine
    print(f"RESULT llamacpp_ready_s={engine.ready_after_s:.2f}")
    async with client_of(engine) as client:
        answer = await client.post("/v1/chat/completions", json=chat("What is two plus two?", max_tokens=8))
        del client.headers["authorization"]
        refused = [await client.post("/v1/chat/completions", json=chat("hi")), await client.get("/metrics")]

    assert answer.json()["choices"][0]["message"]["content"]
    assert answer.json()["model"] == "smollm2"
    assert [one.status_code for one in refused] == [401, 401]
    assert engine.ready_after_s is not None
    assert engine.ready_after_s < 30


async def test_every_dialect_is_spoken_with_it(served: Served, tmp_path: Path) -> None:
    await speak_every_dialect(tmp_path / "gateway", served.engine)


async def test_its_log_repeats_nothing_of_what_it_was_asked(served: Served) -> None:
    async with client_of(served.engine) as client:
        print(f"RESULT llamacpp_provoked={await provoke(client)}")
    log = (served.logs / "engine-smollm2-1.log").read_text()

    assert lines_with_a_leak(served.logs) == []
    assert "exceeds the available context size" in log, "what went wrong is told without what was asked"


async def test_it_listens_on_loopback_only_and_ends_at_once(supervisor: Supervisor) -> None:
    supervisor.ensure(SMOLLM2, CHIEF)
    engine = await until_state(supervisor, "ready")
    sockets = psutil.Process(pid_of(engine)).net_connections(kind="tcp")
    listening = [one.laddr for one in sockets if one.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]
    started = monotonic()
    supervisor.stop(engine.engine_id, CHIEF)
    await until(lambda: not supervisor.snapshots(), "it is gone")
    print(f"RESULT llamacpp_ended_s={monotonic() - started:.2f}")

    assert identify(pid_of(engine)) is None
    assert monotonic() - started < LifecyclePolicy().stop_grace_s, "it ended by itself"


async def test_a_client_that_leaves_mid_stream_frees_its_slot(served: Served) -> None:
    engine, freed = served.engine, []
    async with client_of(engine) as client:
        before = await load_of(client)
        for _ in range(5):
            body = chat("Tell me a very long story.", stream=True, max_tokens=STORY_TOKENS)
            async with client_of(engine) as leaver, leaver.stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.aiter_lines()
                while "content" not in await anext(lines):
                    pass
            freed.append(await seconds_until_free(client))
        after = await load_of(client)
    print(f"RESULT llamacpp_freed_mid_stream_s={max(freed):.3f}")

    assert (after.output_tokens_total or 0) - (before.output_tokens_total or 0) < len(freed) * STORY_TOKENS / 2


async def test_a_client_that_leaves_during_a_long_prompt_frees_its_slot_before_its_end(served: Served) -> None:
    """Needs the field that the wire profile names; without it llama.cpp evaluates the whole prompt first."""
    field = WIRE["llamacpp"].prompt_cancel_field
    engine = served.engine
    async with client_of(engine) as client:
        before = await load_of(client)
        body = chat(LONG_PROMPT, stream=True, max_tokens=64) | {str(field): True}
        request = asyncio.create_task(_abandoned(engine, body))
        await until_busy(client)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        freed_s = await seconds_until_free(client)
        steps = ((await load_of(client)).steps_total or 0) - (before.steps_total or 0)
        whole = (await client.post("/v1/chat/completions", json=chat("again " + LONG_PROMPT, max_tokens=1))).json()
    whole_s = whole["timings"]["prompt_ms"] / 1000
    print(f"RESULT llamacpp_freed_in_prompt_s={freed_s:.2f} whole_prompt_s={whole_s:.2f} batches={steps}")

    assert whole["usage"]["prompt_tokens"] > 1200  # ten batches of 128 and more
    assert 0 < steps < 8


async def _abandoned(engine: EngineSnapshot, body: dict[str, object]) -> None:
    async with client_of(engine) as client, client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for _ in answer.aiter_bytes():
            pass


async def test_a_file_that_is_no_model_is_a_death_with_the_engines_own_words(
    tmp_path: Path, llamacpp: EngineEnvironment
) -> None:
    class NoModel:
        def plan(self, spec: EngineSpec) -> LaunchPlan:
            return LaunchPlan("/etc/passwd", llamacpp.python, llamacpp.version, accelerated=False)

    workshop = Workshop(StatePaths.at(tmp_path).ensure(), SystemClock(), {"llamacpp": LlamaCppAdapter()}, NoModel())
    async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
        supervisor.ensure(SMOLLM2, CHIEF)
        engine = await until_state(supervisor, "backoff")
        supervisor.stop(engine.engine_id, CHIEF)
        await until(lambda: not supervisor.snapshots(), "it is gone")

    assert "exited with status 1" in engine.reason


async def test_a_taken_port_has_an_exit_status_of_its_own(llamacpp: EngineEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--model", "/no/such/model", "--alias", "x", "--port", port, "--slots", "1", "--context", "512"]
        words = [llamacpp.python, "-I", SERVER_SCRIPT, *arguments]
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, check=False)

    assert done.returncode == LlamaCppAdapter().port_taken_exit_code


async def test_sigterm_ends_it_also_while_it_loads(supervisor: Supervisor) -> None:
    supervisor.ensure(SMOLLM2, CHIEF)
    engine = await until_state(supervisor, "starting")
    started = monotonic()
    supervisor.stop(engine.engine_id, CHIEF)
    await until(lambda: not supervisor.snapshots(), "it is gone")

    assert identify(pid_of(engine)) is None
    assert monotonic() - started < LifecyclePolicy().stop_grace_s, "it ended by itself"


async def test_requests_that_share_a_cache_have_one_context_each_and_no_more(supervisor: Supervisor) -> None:
    supervisor.ensure(replace(SMOLLM2, context_tokens=1024, slots=4, cache_tokens=2048), CHIEF)
    engine = await until_state(supervisor, "ready")
    async with client_of(engine) as client:
        slots = (await client.get("/slots")).json()
        answers = await asyncio.gather(
            *(client.post("/v1/chat/completions", json=chat("Count to nine.", max_tokens=24)) for _ in range(4))
        )
        too_long = await client.post("/v1/chat/completions", json=chat("word " * 1200, max_tokens=4))

    assert [slot["n_ctx"] for slot in slots] == [1024] * 4
    assert [answer.status_code for answer in answers] == [200] * 4
    assert too_long.status_code == 400
    assert (engine.context_tokens, engine.cache_tokens) == (1024, 2048)
