"""What an engine caches of one tenant's prompts is of no use to another."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from router.reply import without_cached
from support.engines import FaultEngine, running_fault_engine
from support.gateway import KEY, MODEL, Running, access_with, engine_at, key_record, running_gateway, served_by

SAME_TENANT, OTHER_TENANT = "pl_child1_" + "s" * 43, "pl_class1_" + "s" * 43


async def salt_of(running: Running, engine: FaultEngine, key: str) -> str | None:
    async with running.http(key) as http:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 2}
        engine.script({"content": "So."})
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
        mine = await http.post("/v1/chat/completions", json=body | {"cache_salt": "of somebody else"})
        assert (mine.status_code, mine.json()["error"]["param"]) == (400, "cache_salt")
    salt: str | None = engine.asked()[-1].get("cache_salt")
    return salt


@pytest.mark.parametrize(("kind", "salted"), [("vllm", True), ("llamacpp", False), ("mlx", False)])
async def test_each_tenant_has_a_salt_that_its_keys_share(tmp_path: Path, kind: EngineKind, salted: bool) -> None:
    with running_fault_engine(tmp_path / "engine", kind) as engine:
        at = engine_at(Address("127.0.0.1", engine.port), kind=kind)
        async with running_gateway(tmp_path, [at]) as running:
            keys = (key_record(), key_record(SAME_TENANT), replace(key_record(OTHER_TENANT), tenant="school"))
            running.view.install_access(access_with(running.paths, keys, sequence=2))
            home, child, school = [await salt_of(running, engine, key) for key in (KEY, SAME_TENANT, OTHER_TENANT)]

    if not salted:
        assert (home, child, school) == (None, None, None)
        return
    assert home is not None
    assert school is not None
    assert (home == child, home == school) == (True, False)
    assert not {"home", "school"} & {home, school}


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_an_engine_had_cached_is_told_to_nobody_else(tmp_path: Path, streamed: bool) -> None:
    """llama.cpp keeps no tenants apart. Alone, a tenant may know."""
    prompt = " ".join(f"word{number}" for number in range(200))
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 2, "stream": streamed}
    body |= {"stream_options": {"include_usage": True}} if streamed else {}

    async def told(running: Running) -> int:
        """Tokens cached of the second of two that are the same."""
        async with running.http() as http:
            for _ in range(2):
                text = (await http.post("/v1/chat/completions", json=body)).text
        (cached,) = re.findall(r'"cached_tokens": ?(\d+)', text)
        return int(cached)

    with running_fault_engine(tmp_path / "engine", "llamacpp") as engine:
        async with running_gateway(tmp_path, [served_by(engine)]) as running:
            assert await told(running) > 0
            keys = (key_record(), replace(key_record(OTHER_TENANT), tenant="school"))
            running.view.install_access(access_with(running.paths, keys, sequence=2))
            assert await told(running) == 0
            assert running.finished()[-1].cached_tokens, "the operator may know"


def test_a_text_that_looks_like_a_count_is_left_as_it_is() -> None:
    words = 'it said "cached_tokens":5,"timings":{"cache_n":1}'
    timings = {"cache_n": 7, "prompt_n": 1, "prompt_ms": 2.5, "prompt_per_second": 400.0, "predicted_ms": 4.0}
    said = json.dumps({"content": words, "cached_tokens": 7, "timings": timings}).encode()
    clocked = {"prompt_ms": 2.5, "predicted_ms": 4.0}
    assert json.loads(without_cached(said)) == {"content": words, "cached_tokens": 0, "timings": clocked}
