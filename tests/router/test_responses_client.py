"""The real openai client's `responses`, with strict validation, against the real gateway and engines of every wire."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseInputParam
from pydantic import BaseModel

from support.engines import FaultEngine
from support.gateway import Running, running_gateway, served_by

WEATHER: FunctionToolParam = {
    "type": "function", "name": "weather", "description": "of a town", "strict": False,
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
}  # fmt: skip


class Town(BaseModel):
    name: str


@asynccontextmanager
async def gateway_to(engine: FaultEngine, root: Path) -> AsyncIterator[tuple[Running, openai.AsyncOpenAI]]:
    async with running_gateway(root, [served_by(engine)]) as running, running.openai() as client:
        yield running, client


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_its_end_and_its_usage_come_back(engine: FaultEngine, tmp_path: Path, streamed: bool) -> None:
    async with gateway_to(engine, tmp_path) as (running, client):
        engine.script({"content": "Hello there friend"})
        answer = await ask(client, streamed, input="Say hello.", instructions="Be kind.", metadata={"a": "b"})

        assert answer.output_text == "Hello there friend"
        assert (answer.model, answer.status, answer.metadata) == ("toy", "completed", {"a": "b"})
        assert answer.usage is not None
        assert answer.usage.output_tokens == 3
        (record,) = running.finished()
        assert (record.api, record.outcome, record.output_tokens, record.tokens_exact) == ("responses", "ok", 3, True)
        assert answer.id == record.request_id.replace("req_", "resp_")
        assert engine.asked()[0]["messages"][0] == {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_loop_goes_round_with_the_items_that_came_back(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    calls = [("weather", {"town": "Oslo", "days": [1, 2]}), ("weather", {"town": 'Qu"ito'})]
    history: ResponseInputParam = [{"role": "user", "content": "Weather?"}]
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script(
            {"reasoning": "Two towns, so", "content": "Looking them up", "tool_calls": calls}, {"content": "Stay in"}
        )
        first = await ask(client, streamed, input=history, tools=[WEATHER])
        used = [item for item in first.output if item.type == "function_call"]
        history += first.output  # type: ignore[arg-type]  # as their documentation has it
        history += [{"type": "function_call_output", "call_id": item.call_id, "output": "rain"} for item in used]
        second = await ask(client, streamed, input=history, tools=[WEATHER])
        told = engine.asked()[1]["messages"]

    assert [item.type for item in first.output] == ["reasoning", "message", "function_call", "function_call"]
    assert [(item.name, json.loads(item.arguments)) for item in used] == calls
    assert second.output_text == "Stay in"
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]
    assert (told[1]["content"], told[1]["reasoning_content"]) == ("Looking them up", "Two towns, so")
    assert [call["type"] for call in told[1]["tool_calls"]] == ["function", "function"]
    assert [call["id"] for call in told[1]["tool_calls"]] == [message["tool_call_id"] for message in told[2:]]


async def test_a_schema_reaches_an_engine_that_can_keep_to_one(engine: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"content": '{"name":"Oslo"}'})
        asked = client.responses.parse(model="toy", input="A town?", text_format=Town)
        if engine.kind == "mlx":
            with pytest.raises(openai.BadRequestError, match=r"text\.format"):
                await asked
        else:
            assert (await asked).output_parsed == Town(name="Oslo")
            assert engine.asked()[0]["response_format"]["json_schema"]["schema"]["required"] == ["name"]


async def test_a_required_tool_goes_where_an_engine_can_be_forced(engine: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"tool_calls": [("weather", {})]})
        asked = client.responses.create(model="toy", input="hi", tools=[WEATHER], tool_choice="required")
        if engine.kind == "mlx":
            with pytest.raises(openai.BadRequestError, match="tool_choice"):
                await asked
        else:
            assert (await asked).output[0].type == "function_call"
            assert engine.asked()[0]["tool_choice"] == "required"


@pytest.mark.parametrize("engine", ["vllm"], indirect=True)
async def test_an_answer_that_is_cut_at_its_limit_is_incomplete(engine: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(engine, tmp_path) as (_, client):
        stream = await client.responses.create(model="toy", input="hi", max_output_tokens=3, stream=True)
        events = [event async for event in stream]

    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 3


async def test_an_engine_that_dies_in_mid_stream_is_a_response_that_failed(mortal: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(mortal, tmp_path) as (running, client):
        mortal.inject(die_after=3, die_how="close", tokens_per_s=50)
        stream = await client.responses.create(model="toy", input="hi", max_output_tokens=30, stream=True)
        events = [event async for event in stream]

        last = events[-1]
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert (last.response.error.code, last.response.error.type) == ("server_error", "upstream_failure")
        assert "toy-1" in last.response.error.message
        assert last.response.output[0].to_dict()["status"] == "incomplete"
        assert {"response.completed", "response.output_item.done"}.isdisjoint(event.type for event in events)
        await running.until_idle()
        assert running.in_flight == 0


@pytest.mark.parametrize("mortal", ["vllm"], indirect=True)
async def test_a_whole_answer_of_an_engine_that_dies_is_an_error(mortal: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(mortal, tmp_path) as (_, client):
        mortal.inject(die_after=3, die_how="close", tokens_per_s=50)
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="toy", input="hi", max_output_tokens=30)


async def test_what_would_need_a_stored_response_is_refused_by_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        with pytest.raises(openai.BadRequestError, match="send the whole conversation") as caught:
            await client.responses.create(model="toy", input="hi", previous_response_id="resp_1")
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "previous_response_id")
        with pytest.raises(openai.BadRequestError, match="input"):
            await client.responses.create(model="toy")
        with pytest.raises(openai.NotFoundError, match="did you mean `toy`"):
            await client.responses.create(model="toi", input="hi")


async def ask(client: openai.AsyncOpenAI, streamed: bool, **asked: Any) -> Response:
    if not streamed:
        answer: Response = await client.responses.create(model="toy", **asked)
        return answer
    async with client.responses.stream(model="toy", **asked) as stream:
        return await stream.get_final_response()
