"""The real vLLM and the real mlx-lm, installed by potluck, run by the supervisor, with artifacts that potluck made."""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import httpx2
import psutil
import pytest

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import ModelStore
from inventory.store_records import held_of
from nodes.engine_body import Workshop
from nodes.engines.accounts import items_in_load
from nodes.engines.base import EngineAdapter
from nodes.engines.mlx import START_SCRIPT as MLX_SCRIPT
from nodes.engines.mlx import MlxAdapter
from nodes.engines.vllm import START_SCRIPT as VLLM_SCRIPT
from nodes.engines.vllm import VllmAdapter
from nodes.launching import NodeFacts, NodeLauncher
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.nodes import pid_of, port_of, until, until_state
from support.provocations import lines_with_a_leak, provoke
from support.real_engines import CHIEF, client_of, installed_engine, this_machine
from support.through_gateway import speak_every_dialect

pytestmark = pytest.mark.e2e

KINDS: tuple[EngineKind, ...] = ("vllm", "mlx")
CONTEXT = 1024
START_DEADLINE_S = 420.0  # vLLM imports for a minute on two busy cores


@pytest.fixture
async def supervisor(tmp_path: Path, engines_dir: Path, all_formats: ModelStore) -> AsyncIterator[Supervisor]:
    paths = StatePaths.at(tmp_path).ensure()
    adapters: dict[EngineKind, EngineAdapter] = {"vllm": VllmAdapter(), "mlx": MlxAdapter()}
    launcher = NodeLauncher(engines_dir, all_formats, adapters, NodeFacts(this_machine()))
    workshop = Workshop(paths, SystemClock(), adapters, launcher)
    try:
        async with supervising(workshop, LifecyclePolicy(), lambda: None) as supervisor:
            yield supervisor
    finally:
        reap(paths.leases, grace_s=1.0)


def order(supervisor: Supervisor, store: ModelStore, engines_dir: Path, kind: EngineKind) -> None:
    installed_engine(kind, engines_dir)
    held = held_of(store.get("smollm2", "safetensors" if kind == "vllm" else "mlx"))
    supervisor.ensure(EngineSpec(EngineId(f"smollm2-{kind}"), kind, held.ref, CONTEXT, slots=2), CHIEF)


async def ready(supervisor: Supervisor) -> EngineSnapshot:
    def look() -> EngineSnapshot | None:
        (engine,) = supervisor.snapshots()
        assert engine.state not in ("backoff", "quarantined"), engine.reason
        return engine if engine.state == "ready" else None

    return await until(look, "it is ready", START_DEADLINE_S)


def chat(prompt: str, **fields: object) -> dict[str, object]:
    return {"model": "smollm2", "messages": [{"role": "user", "content": prompt}], "temperature": 0, **fields}


async def streamed(client: httpx2.AsyncClient, body: dict[str, object]) -> tuple[str, str]:
    """The text of a streamed answer, and why it ended."""
    text, end = "", ""
    async with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    text += choice["delta"].get("content") or ""
                    end = choice.get("finish_reason") or end
    return text, end


def group_of(leader: int) -> list[psutil.Process]:
    """Every process of the leader's group, without those that only wait to be reaped."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def listening(processes: list[psutil.Process]) -> set[tuple[int, str, int]]:
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a helper that has done its work
            connections = process.net_connections(kind="inet")
            found |= {(process.pid, *one.laddr) for one in connections if one.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_it_serves_tells_its_load_drains_and_leaves_nothing(
    kind: EngineKind, supervisor: Supervisor, all_formats: ModelStore, engines_dir: Path, tmp_path: Path
) -> None:
    order(supervisor, all_formats, engines_dir, kind)
    engine = await ready(supervisor)
    leader = pid_of(engine)
    print(f"RESULT {kind}_ready_s={engine.ready_after_s:.1f} processes={len(group_of(leader))}")
    sockets = listening(group_of(leader))  # vLLM's workers have some of their own
    assert {address for _, address, _ in sockets} == {"127.0.0.1"}
    assert [port for pid, _, port in sockets if pid == leader] == [port_of(engine)]

    await speak_every_dialect(tmp_path / "gateway", engine)
    async with client_of(engine) as client:
        await _refuses_strangers(engine)
        refused = await client.post("/v1/chat/completions", json=chat("hi") | {"model": "another"})
        too_long = await client.post("/v1/chat/completions", json=chat("word " * 2 * CONTEXT))
        began = monotonic()
        text, end = await streamed(client, chat("What is the capital of France?", max_tokens=12))
        print(f"RESULT {kind}_first_answer_s={monotonic() - began:.2f} text={text!r}")
        assert ("Paris" in text, end) == (True, "stop")
        assert (refused.status_code, too_long.status_code) == (404 if kind == "vllm" else 400, 400)

        print(f"RESULT {kind}_provoked={await provoke(client)}")
        assert lines_with_a_leak(tmp_path / "logs") == []
        if kind == "vllm":
            await _a_frozen_core_shows(supervisor, client, leader)
        running, busy = await _at_work(supervisor, client)
        supervisor.drain(engine.engine_id, CHIEF)
        text, end = await running
    assert (bool(text), end in ("length", "stop")) == (True, True)
    assert busy.load.steps_total is not None
    assert (busy.load.prompt_tokens_total or 0) > 0
    (told,) = items_in_load(busy.load)
    print(f"RESULT {kind}_told_mib={told.size_bytes / 2**20:.1f} of {' + '.join(told.terms)}")
    assert ("kv cache" in told.terms, told.size_bytes > 2**20) == (True, True)
    stopped = await until_state(supervisor, "stopped")
    assert (stopped.reason, group_of(leader)) == ("drained", [])


async def _at_work(
    supervisor: Supervisor, client: httpx2.AsyncClient
) -> tuple[asyncio.Task[tuple[str, str]], EngineSnapshot]:
    """A request that the load tells of; another one where it was over before anybody looked."""
    asked: list[asyncio.Task[tuple[str, str]]] = []

    def look() -> tuple[asyncio.Task[tuple[str, str]], EngineSnapshot] | None:
        (engine,) = supervisor.snapshots()
        if not asked or asked[-1].done():
            body = chat("Count slowly from one to a hundred.", max_tokens=60)
            asked.append(asyncio.create_task(streamed(client, body)))
        return (asked[-1], engine) if engine.load.running == 1 and engine.load.output_tokens_total else None

    return await until(look, "the load tells of a request", 120)


async def _refuses_strangers(engine: EngineSnapshot) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port_of(engine)}") as stranger:
        answers = [await stranger.get(path) for path in ("/v1/models", "/metrics", "/version")]
        answers += [await stranger.post(path, json=chat("hi")) for path in ("/v1/chat/completions", "/invocations")]
        health = await stranger.get("/health")
    assert [answer.status_code for answer in answers] == [401] * 5
    assert health.status_code == 200


async def _a_frozen_core_shows(supervisor: Supervisor, client: httpx2.AsyncClient, leader: int) -> None:
    """Its server goes on answering; a request that came after counts as running, and nothing moves."""
    await until(lambda: supervisor.snapshots()[0].load.running == 0, "it is idle", 60)
    (core,) = (process for process in group_of(leader) if "EngineCore" in " ".join(process.cmdline()))
    core.suspend()
    try:
        request = asyncio.create_task(streamed(client, chat("Hello", max_tokens=2)))
        frozen = await until(lambda: _running(supervisor), "the request shows", 60)
        health = await client.get("/health")
        later = await until(lambda: _running(supervisor), "it still shows", 60)
    finally:
        core.resume()
    assert (health.status_code, later.load.steps_total) == (200, frozen.load.steps_total)
    await request


def _running(supervisor: Supervisor) -> EngineSnapshot | None:
    (engine,) = supervisor.snapshots()
    return engine if engine.load.running == 1 else None


async def test_when_vllms_leader_is_killed_its_other_processes_go_with_it(
    supervisor: Supervisor, all_formats: ModelStore, engines_dir: Path
) -> None:
    """Its core is a process of its own, and holds the memory."""
    order(supervisor, all_formats, engines_dir, "vllm")
    engine = await until_state(supervisor, "starting")
    leader = pid_of(engine)
    await until(lambda: len(group_of(leader)) > 2, "its core is there", START_DEADLINE_S)
    os.kill(leader, signal.SIGKILL)
    again = await until_state(supervisor, "starting", generation=2)
    supervisor.stop(engine.engine_id, CHIEF)
    await until(lambda: not supervisor.snapshots(), "it is gone")

    await until(lambda: not group_of(leader) + group_of(pid_of(again)), "every process of both has ended")


@pytest.mark.parametrize(("kind", "script"), [("vllm", VLLM_SCRIPT), ("mlx", MLX_SCRIPT)])
def test_a_taken_port_has_an_exit_status_of_its_own(
    kind: EngineKind, script: str, engines_dir: Path, all_formats: ModelStore
) -> None:
    folder = all_formats.main_path(all_formats.get("smollm2", "mlx").artifact.artifact_id)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["--port", str(taken.getsockname()[1]), "--model", str(folder)]
        words += ["--alias", "x", "--slots", "1", "--context", "512"] if kind == "mlx" else []
        python = installed_engine(kind, engines_dir).python
        done = subprocess.run([python, "-I", script, *words], capture_output=True, check=False)

    assert done.returncode == (VllmAdapter() if kind == "vllm" else MlxAdapter()).port_taken_exit_code


async def test_mlx_loads_nothing_that_a_request_names(
    supervisor: Supervisor, all_formats: ModelStore, engines_dir: Path
) -> None:
    order(supervisor, all_formats, engines_dir, "mlx")
    image = [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/picture"}}]
    extras: tuple[dict[str, object], ...] = (
        {"adapters": "/etc"},
        {"draft_model": "org/some-model"},
        {"model": "org/some-model"},
        {"messages": [{"role": "user", "content": image}]},
    )
    async with client_of(await ready(supervisor)) as client:
        answers = [await client.post("/v1/chat/completions", json=chat("hi") | extra) for extra in extras]

    assert [answer.status_code for answer in answers] == [400] * len(extras)


async def test_an_mlx_folder_without_weights_is_a_death_with_the_engines_own_words(
    tmp_path: Path, engines_dir: Path, mlx: object
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    words = ["--port", "0", "--model", str(tmp_path), "--alias", "x", "--slots", "1", "--context", "512"]
    python = installed_engine("mlx", engines_dir).python
    done = await asyncio.to_thread(
        subprocess.run, [python, "-I", MLX_SCRIPT, *words], capture_output=True, text=True, timeout=240, check=False
    )

    assert done.returncode == 1
    assert "No safetensors found" in done.stderr


async def test_mlx_gives_back_the_prompts_that_it_kept_when_told_to(
    supervisor: Supervisor, all_formats: ModelStore, engines_dir: Path
) -> None:
    order(supervisor, all_formats, engines_dir, "mlx")
    engine = await ready(supervisor)
    async with client_of(engine) as client:

        async def cached() -> int:
            answer = await client.post("/v1/chat/completions", json=chat("A long story. " * 25, max_tokens=1))
            return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

        async def held() -> int:
            lines = (await client.get("/metrics")).text.splitlines()
            names = ("potluck_mlx_active_bytes ", "potluck_mlx_cache_bytes ")
            return sum(int(line.split()[1]) for line in lines if line.startswith(names))

        assert (await cached(), await cached() > 75) == (0, True)
        full = await held()
        await supervisor.trim([engine.engine_id])
        deadline = monotonic() + 60
        while await held() >= full:
            assert monotonic() < deadline, "nothing was given back"
            await asyncio.sleep(0.05)
        print(f"RESULT mlx_trim before={full} after={await held()}")
        assert await cached() == 0
        stranger = await client.post("/potluck/trim", headers={"authorization": "Bearer wrong"})
    assert stranger.status_code == 401
