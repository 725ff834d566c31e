"""llm-comply's checks of three dialects, by their published specifications, against the real gateway."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from support.engines import running_fault_engine
from support.gateway import KEY, engine_at, running_gateway

PROGRAM = Path(sys.executable).with_name("llm-comply")
MODEL = "o1-toy"  # by this name it takes a model for one that thinks
PLAIN: dict[str, object] = {"content": "Hello there"}
LOOKED_UP: dict[str, object] = {"tool_calls": [("get_weather", {"location": "San Francisco"})]}
THOUGHT: dict[str, object] = {"reasoning": "It is a sum", "content": "4"}
# In the order of its checks: the fourth wants a call, the last that asks a model wants a thought.
SCRIPTS = {
    "openai-chat": [PLAIN, PLAIN, PLAIN, LOOKED_UP, PLAIN, PLAIN, PLAIN, THOUGHT],
    "anthropic": [PLAIN, PLAIN, PLAIN, LOOKED_UP, PLAIN, PLAIN, PLAIN, THOUGHT],
    "open-responses": [PLAIN, PLAIN, PLAIN, LOOKED_UP, PLAIN, PLAIN, PLAIN, PLAIN, THOUGHT, THOUGHT],
}


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])  # mlx-lm can neither be forced to a tool nor see: docs/api.md
@pytest.mark.parametrize("form", SCRIPTS)
async def test_every_check_passes(form: str, kind: EngineKind, tmp_path: Path) -> None:
    with running_fault_engine(tmp_path / "engine", kind) as engine:
        engine.script(*SCRIPTS[form])
        at = engine_at(Address("127.0.0.1", engine.port), model=MODEL, kind=kind)
        async with running_gateway(tmp_path, [at], models=(MODEL,)) as running:
            process = await asyncio.create_subprocess_exec(
                PROGRAM, "run", "--json", "-u", f"{running.base_url}/v1", "-k", KEY, "-m", MODEL, "--format", form,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            told, _ = await process.communicate()
    found = json.loads(told)
    print(
        f"\nRESULT llm_comply form={form} engine={kind}", *(f"{one['id']}={one['status']}" for one in found["results"])
    )
    assert {one["id"]: one["errors"] for one in found["results"] if one["status"] == "failed"} == {}
    assert sum(one["status"] == "passed" for one in found["results"]) >= 8
