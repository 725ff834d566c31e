"""Every dialect on every engine wire, streamed or not, with everything that clients ask for: one table."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nodes.snapshot import EngineKind
from router.dialects import DIALECTS as SERVED
from support.engines import KINDS, FaultEngine, running_fault_engine
from support.gateway import Running, running_gateway, served_by
from support.nodes import until
from support.spoken import CASES, DIALECTS, SCHEMA, STOP, TOOL_CASES, Case, Said, ask

LACKS: dict[EngineKind, tuple[Case, ...]] = {"mlx": ("forced tool", "json_schema")}  # as docs/api.md lists them
READING = {"embeddings", "rerank", "ollama_embed", "ollama_embeddings"}  # test_embeddings_client has these
CALL = ("weather", {"town": "Oslo"})
CONTEXT = 64
IN_WORDS = ("invalid_request_error", "server_error", "said in words")  # of dialects whose errors have no code of ours


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[EngineKind, FaultEngine]]:
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(
                running_fault_engine(tmp_path_factory.mktemp(kind), kind, "--context", str(CONTEXT))
            )
            for kind in KINDS
        }


@pytest.mark.parametrize("kind", KINDS)
async def test_every_dialect_says_the_same(
    kind: EngineKind, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    engine = engines[kind]
    rows: list[tuple[str, str, list[str]]] = []
    async with running_gateway(tmp_path, [served_by(engine)]) as running:
        for name, dialect in DIALECTS.items():
            for streamed in (False, True):
                cells = []
                for case in CASES:
                    if case not in dialect.cases:
                        cells.append("-")
                        continue
                    said = await _asked(running, engine, name, case, streamed)
                    _judge(said, kind, case, streamed)
                    cells.append(str(said.status) if said.error is None else f"{said.status} {said.error}")
                rows.append((name, "stream" if streamed else "whole", cells))
        assert running.in_flight == 0
    print(f"\n{kind}: " + ", ".join(CASES))
    for name, how, cells in rows:
        print(f"  {name:16} {how:7}" + "".join(f"{cell:28}" for cell in cells))


def test_no_dialect_is_left_out() -> None:
    assert DIALECTS.keys() | READING == SERVED.keys()


async def _asked(running: Running, engine: FaultEngine, dialect: str, case: Case, streamed: bool) -> Said:
    health = running.gateway.dispatcher.context.health
    await until(lambda: not health.ejected, "the engine proved itself again")
    prompt = "word " * 10 * CONTEXT if case == "over-long prompt" else "Say a word."
    engine.script(*_script(case))
    if case == "engine killed":
        engine.inject(die_after=engine.state()["tokens"] + 3, die_how="close", tokens_per_s=100)
    async with running.http() as http:
        said = await ask(http, DIALECTS[dialect], "toy", case, streamed, prompt=prompt)
    engine.inject(die_after=0, tokens_per_s=0)
    await running.until_idle()
    if said.status == 200 and case in (*TOOL_CASES, "json_schema", "stop") and dialect != "completions":
        (body,) = engine.asked()
        told = {
            "tools": body.get("tools") and body["tools"][0]["function"]["parameters"] == SCHEMA,
            "forced tool": body.get("tool_choice") == {"type": "function", "function": {"name": "weather"}},
            "json_schema": (body.get("response_format") or {}).get("json_schema", {}).get("schema") == SCHEMA,
            "stop": body.get("stop") in (STOP, [STOP]),
        }
        assert told[case], body
    return said


def _script(case: Case) -> list[dict[str, object]]:
    if case in TOOL_CASES:
        return [{"tool_calls": [CALL]}]
    if case == "json_schema":
        return [{"content": '{"town": "Oslo"}'}]
    return [{"content": "a word or two"}] if case in ("plain", "stop") else []


def _judge(said: Said, kind: EngineKind, case: Case, streamed: bool) -> None:
    assert said.proper, said
    if case in LACKS.get(kind, ()):
        assert said.status == 400, said
        assert said.error in ("unsupported_parameter", *IN_WORDS), said
    elif case == "over-long prompt":
        assert said.status == 400, said
        assert said.error in ("context_length_exceeded", *IN_WORDS), said
    elif case == "engine killed":
        if kind == "vllm" and not streamed:  # not a byte had come: it was asked once more, and lives
            assert (said.status, said.error) == (200, None), said
            return
        assert said.status == (200 if streamed else 502), said
        assert said.error in ("upstream_failure", "api_error", *IN_WORDS), said
    else:
        assert (said.status, said.error) == (200, None), said
        assert said.output_tokens is not None
        if case in TOOL_CASES:
            assert (said.tools, said.end) == ([CALL], "tool_calls"), said
        elif case == "json_schema":
            assert said.text == '{"town": "Oslo"}', said
        else:
            assert said.text, said
            assert said.end in ("stop", "length"), said
