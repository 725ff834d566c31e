"""The fault engine is itself a tool to rely on: its dialects, its tokens, its deaths."""

import hashlib
import json
import signal
import socket
from pathlib import Path
from typing import get_args

import httpx2
import pytest

from nodes.snapshot import EngineKind
from nodes.wire import WIRE
from support.engines import FaultEngine, running_fault_engine

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


def expected(prompt: str, count: int) -> str:
    return "".join(hashlib.sha256(f"{prompt}|{index}".encode()).hexdigest()[:6] + " " for index in range(count))


def chat(engine: FaultEngine, **fields: object) -> httpx2.Response:
    headers = {"authorization": f"Bearer {engine.key}"} if engine.key else {}
    return httpx2.post(f"{engine.base_url}/v1/chat/completions", json={**ASKED, **fields}, headers=headers, timeout=20)


@pytest.mark.parametrize("dialect", [kind for kind, wire in WIRE.items() if "chat" in wire.endpoints])
def test_tokens_are_a_hash_of_prompt_and_index_in_every_dialect(tmp_path: Path, dialect: EngineKind) -> None:
    with running_fault_engine(tmp_path, dialect) as engine:
        whole = chat(engine).json()
        stream = chat(engine, stream=True, stream_options={"include_usage": True}).text
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])

    assert events[-1] == "[DONE]"
    assert text == whole["choices"][0]["message"]["content"] == expected(json.dumps(ASKED["messages"]), 4)
    for counted in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert chunks[-1]["usage"][counted] == whole["usage"][counted]


def test_each_dialect_guards_what_its_engine_guards(tmp_path: Path) -> None:
    seen = {}
    for dialect in get_args(EngineKind):
        with running_fault_engine(tmp_path / dialect, dialect, key="secret") as engine:
            paths = ("/health", "/metrics", "/v1/models")
            seen[dialect] = [httpx2.get(engine.base_url + path).status_code for path in paths]

    assert seen == {
        "vllm": [200, 200, 401],
        "mlx": [200, 404, 200],
        "llamacpp": [200, 401, 401],
        "encoder": [200, 200, 401],
    }


@pytest.mark.parametrize(("how", "status"), [("exit", 1), ("kill", -signal.SIGKILL), ("close", None)])
def test_it_dies_after_so_many_tokens_in_the_way_that_was_asked(tmp_path: Path, how: str, status: int | None) -> None:
    with running_fault_engine(tmp_path, "vllm", "--die-after", "2", "--die-how", how) as engine:
        with pytest.raises(httpx2.TransportError):
            chat(engine, stream=True)
        if status is None:
            assert chat(engine).status_code == 200
        else:
            assert engine.process.wait(10) == status


def test_a_client_that_leaves_is_counted_as_cancelled(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path, "llamacpp", "--tokens-per-s", "20") as engine:
        body = json.dumps({**ASKED, "max_tokens": 1000, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", engine.port)) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            client.recv(1024)
        state = engine.state()
        while state["active"]:
            state = engine.state()

    assert (state["cancelled"], state["finished"]) == (1, 0)


def test_faults_change_at_run_time_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path, "mlx", "--failing") as engine:
        assert chat(engine).status_code == 500
        engine.inject(failing=False, malformed_after=1)
        assert 'data: {"choices":[{"del\n' in chat(engine, stream=True).text
        assert httpx2.post(f"{engine.base_url}/fault", json={"no_such": 1}).status_code == 400
