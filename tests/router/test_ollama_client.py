"""The real ollama client against the real gateway and engines of every wire."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ollama
import pytest

from nodes.snapshot import EngineKind
from support.engines import FaultEngine
from support.gateway import Running, running_gateway, served_by

ASK = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a town", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


@pytest.fixture
def llamacpp(standing: Callable[[EngineKind], FaultEngine]) -> FaultEngine:
    return standing("llamacpp")


@asynccontextmanager
async def gateway_to(engine: FaultEngine, root: Path) -> AsyncIterator[tuple[Running, ollama.AsyncClient]]:
    async with running_gateway(root, [served_by(engine)]) as running, running.ollama() as client:
        yield running, client


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_its_end_and_its_counts_come_back(engine: FaultEngine, tmp_path: Path, streamed: bool) -> None:
    async with gateway_to(engine, tmp_path) as (running, client):
        engine.script({"content": "Hello there friend"})
        answer = await chat(client, streamed, model="toy:latest", messages=ASK, options={"num_predict": 20})

        assert (answer.message.role, answer.message.content) == ("assistant", "Hello there friend")
        assert (answer.model, answer.done, answer.done_reason) == ("toy:latest", True, "stop")
        assert (answer.eval_count, answer.created_at is not None) == (3, True)
        (record,) = running.finished()
        assert (record.api, record.outcome, record.output_tokens, record.tokens_exact) == ("ollama_chat", "ok", 3, True)
        assert engine.asked()[0]["max_tokens"] == 20


@pytest.mark.parametrize("streamed", [False, True])
async def test_thoughts_words_and_two_calls_come_apart(engine: FaultEngine, tmp_path: Path, streamed: bool) -> None:
    calls = [("weather", {"town": "Oslo", "days": [1, 2]}), ("weather", {"town": 'Qu"ito'})]
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"reasoning": "Two towns, so", "content": "Looking them up", "tool_calls": calls})
        answer = await chat(client, streamed, model="toy", messages=ASK, tools=[WEATHER], think=True)

        assert (answer.message.thinking, answer.message.content) == ("Two towns, so", "Looking them up")
        made = [(call.function.name, call.function.arguments) for call in answer.message.tool_calls or ()]
        assert made == calls
        assert engine.asked()[0]["chat_template_kwargs"] == {"enable_thinking": True}


async def test_results_of_tools_reach_the_engine_with_the_ids_of_their_calls(
    engine: FaultEngine, tmp_path: Path
) -> None:
    """Ollama's clients keep no ids: a result says its tool, or is known by its place."""
    made = [{"function": {"name": name, "arguments": {"town": "Oslo"}}} for name in ("weather", "clock")]
    history: list[dict[str, Any]] = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "thinking": "Ask the tool.", "tool_calls": made},
        {"role": "tool", "content": "noon", "tool_name": "clock"},
        {"role": "tool", "content": "rain"},
    ]
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"content": "Stay in"})
        await client.chat(model="toy", messages=history, tools=[WEATHER], options={"stop": ["END"]})
        (body,) = engine.asked()

    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    weather, clock = body["messages"][2]["tool_calls"]
    assert json.loads(weather["function"]["arguments"]) == {"town": "Oslo"}
    results = [(message["content"], message["tool_call_id"]) for message in body["messages"][3:]]
    assert results == [("noon", clock["id"]), ("rain", weather["id"])]
    assert body["stop"] == ["END"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_generate_asks_as_a_chat_with_the_system_before_the_prompt(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    async with gateway_to(engine, tmp_path) as (running, client):
        engine.script({"reasoning": "Well", "content": "Hello there friend"})
        answer = await generate(client, streamed, model="toy", prompt="Hi", system="Be kind", options={"seed": 3})

        assert (answer.response, answer.thinking, answer.done_reason) == ("Hello there friend", "Well", "stop")
        assert answer.eval_count == 4
        (body,) = engine.asked()
        assert [message["content"] for message in body["messages"]] == ["Be kind", "Hi"]
        assert (running.finished()[0].api, body["seed"]) == ("ollama_generate", 3)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_raw_prompt_goes_to_the_model_as_it_is(engine: FaultEngine, tmp_path: Path, streamed: bool) -> None:
    async with gateway_to(engine, tmp_path) as (running, client):
        answer = await generate(client, streamed, model="toy", prompt="Once", raw=True, options={"num_predict": 4})

        assert (len((answer.response or "").split()), answer.done_reason, answer.eval_count) == (4, "length", 4)
        (record,) = running.finished()
        assert (record.api, record.output_tokens) == ("ollama_generate", 4)


async def test_a_format_goes_where_an_engine_can_keep_to_it(engine: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"content": '{"town": "Oslo"}'}, {"content": "{}"})
        if engine.kind == "mlx":
            with pytest.raises(ollama.ResponseError, match="format") as caught:
                await client.chat(model="toy", messages=ASK, format=SCHEMA)
            assert caught.value.status_code == 400
            return
        await client.chat(model="toy", messages=ASK, format=SCHEMA)
        await client.generate(model="toy", prompt="A town", format="json")
        by_schema, by_kind = (body["response_format"] for body in engine.asked())

    assert (by_schema["type"], by_schema["json_schema"]["schema"]) == ("json_schema", SCHEMA)
    assert by_kind == {"type": "json_object"}


async def test_an_image_gets_the_type_that_ollama_does_not_say(tmp_path: Path, llamacpp: FaultEngine) -> None:
    async with gateway_to(llamacpp, tmp_path) as (_, client):
        llamacpp.script({"content": "A dot"})
        await client.chat(model="toy", messages=[{"role": "user", "content": "What?", "images": [PNG]}])
        text, image = llamacpp.asked()[0]["messages"][0]["content"]

    assert text == {"type": "text", "text": "What?"}
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_engine_that_dies_in_mid_answer_is_an_error_in_the_clients_own_shape(
    mortal: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    async with gateway_to(mortal, tmp_path) as (running, client):
        mortal.inject(die_after=3, die_how="close", tokens_per_s=50)
        with pytest.raises(ollama.ResponseError, match="toy-1"):
            await chat(client, streamed, model="toy", messages=ASK)

        await running.until_idle()
        assert running.in_flight == 0


async def test_an_answer_is_streamed_unless_it_is_asked_whole(tmp_path: Path, llamacpp: FaultEngine) -> None:
    async with gateway_to(llamacpp, tmp_path) as (running, _), running.http() as http:
        llamacpp.script({"content": "Hello there"}, {"content": "Hello there"})
        streamed = await http.post("/api/chat", json={"model": "toy", "messages": ASK})
        whole = await http.post("/api/chat", json={"model": "toy", "messages": ASK, "stream": False})

    assert streamed.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    assert [(line["message"]["content"], line["done"]) for line in lines] == [
        ("Hello", False), (" there", False), ("", True),
    ]  # fmt: skip
    assert whole.headers["content-type"] == "application/json"
    assert whole.json() == {**lines[-1], "created_at": whole.json()["created_at"], "message": {
        "role": "assistant", "content": "Hello there"}}  # fmt: skip


async def test_launch_options_and_samplers_that_are_off_change_nothing(tmp_path: Path, llamacpp: FaultEngine) -> None:
    options = {"num_ctx": 8192, "num_gpu": 99, "num_thread": 8, "mirostat": 0, "typical_p": 1.0, "temperature": 0}
    async with gateway_to(llamacpp, tmp_path) as (_, client):
        llamacpp.script({"content": "Hello"})
        await client.chat(model="toy", messages=ASK, options=options, keep_alive="5m")
        (body,) = llamacpp.asked()

    assert body["temperature"] == 0
    assert not body.keys() & (options.keys() - {"temperature"})


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"options": {"mirostat": 2}}, "options.mirostat"),
        ({"options": {"top_z": 1}}, "options.top_z"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"suffix": "end"}, "suffix"),
        ({"context": [1, 2]}, "context"),
        ({"raw": True, "system": "Be kind"}, "system"),
        ({"images": ["bm90IGFuIGltYWdl"]}, "an image is a PNG"),
        ({"prompt": ""}, "prompt"),
    ],
)
async def test_what_cannot_be_heeded_is_refused_by_name(tmp_path: Path, asked: dict[str, Any], named: str) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as http:
        answer = await http.post("/api/generate", json={"model": "toy", "prompt": "Hi", **asked})

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert named in answer.json()["error"]


async def test_who_and_what_is_unknown_is_refused_in_ollamas_shape(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        async with running.ollama() as client:
            with pytest.raises(ollama.ResponseError, match="did you mean `toy`") as unknown:
                await client.chat(model="toi", messages=ASK)
        async with running.ollama("pl_owner1_" + "x" * 43) as stranger:
            with pytest.raises(ollama.ResponseError, match="not valid") as refused:
                await stranger.chat(model="toy", messages=ASK)

    assert (unknown.value.status_code, refused.value.status_code) == (404, 401)


async def chat(client: ollama.AsyncClient, streamed: bool, **asked: Any) -> ollama.ChatResponse:
    """Of a stream, the last line with what all of them said."""
    if not streamed:
        whole: ollama.ChatResponse = await client.chat(**asked)
        return whole
    parts = [part async for part in await client.chat(**asked, stream=True)]
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    last: ollama.ChatResponse = parts[-1]
    last.message.content = "".join(part.message.content or "" for part in parts)
    last.message.thinking = "".join(part.message.thinking or "" for part in parts)
    last.message.tool_calls = [call for part in parts for call in part.message.tool_calls or ()]
    return last


async def generate(client: ollama.AsyncClient, streamed: bool, **asked: Any) -> ollama.GenerateResponse:
    if not streamed:
        whole: ollama.GenerateResponse = await client.generate(**asked)
        return whole
    parts = [part async for part in await client.generate(**asked, stream=True)]
    last: ollama.GenerateResponse = parts[-1]
    last.response = "".join(part.response or "" for part in parts)
    last.thinking = "".join(part.thinking or "" for part in parts) or None
    return last
