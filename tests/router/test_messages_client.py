"""The real anthropic client, with strict response validation, against the real gateway and engines of every wire."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from router.dialects.messages_content import BILLING
from support.engines import FaultEngine
from support.gateway import Running, running_gateway, served_by

ASK: list[MessageParam] = [{"role": "user", "content": "Say hello."}]
WEATHER: ToolParam = {
    "name": "weather", "description": "of a town", "input_schema": {"type": "object", "properties": {"town": {}}},
}  # fmt: skip


@asynccontextmanager
async def gateway_to(engine: FaultEngine, root: Path) -> AsyncIterator[tuple[Running, anthropic.AsyncAnthropic]]:
    async with running_gateway(root, [served_by(engine)]) as running, running.anthropic() as client:
        yield running, client


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_its_end_and_its_usage_come_back(engine: FaultEngine, tmp_path: Path, streamed: bool) -> None:
    async with gateway_to(engine, tmp_path) as (running, client):
        engine.script({"content": "Hello there friend"})
        answer = await ask(client, streamed, messages=ASK, max_tokens=20)

        (block,) = answer.content
        assert block.type == "text"
        assert block.text == "Hello there friend"
        assert (answer.model, answer.role, answer.stop_reason) == ("toy", "assistant", "end_turn")
        assert answer.usage.output_tokens == 3
        (record,) = running.finished()
        assert (record.api, record.outcome, record.output_tokens, record.tokens_exact) == ("messages", "ok", 3, True)


@pytest.mark.parametrize("streamed", [False, True])
async def test_thoughts_words_and_two_calls_are_blocks_in_order(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    calls = [("weather", {"town": "Oslo", "days": [1, 2]}), ("weather", {"town": 'Qu"ito'})]
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"reasoning": "Two towns, so", "content": "Looking them up", "tool_calls": calls})
        answer = await ask(client, streamed, messages=ASK, max_tokens=50, tools=[WEATHER])

    assert [block.type for block in answer.content] == ["thinking", "text", "tool_use", "tool_use"]
    thinking, text, *uses = answer.content
    assert (thinking.type == "thinking" and thinking.thinking) == "Two towns, so"
    assert (text.type == "text" and text.text) == "Looking them up"
    assert [(use.name, use.input) for use in uses if use.type == "tool_use"] == [(name, args) for name, args in calls]
    assert len({use.id for use in uses if use.type == "tool_use"}) == 2
    assert answer.stop_reason == "tool_use"


async def test_results_of_tools_reach_the_engine_as_a_chat(engine: FaultEngine, tmp_path: Path) -> None:
    history: list[MessageParam] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Ask the tool.", "signature": ""},
            {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"town": "Oslo"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_0", "content": [{"type": "text", "text": "rain"}]},
            {"type": "text", "text": "And now?"},
        ]},
    ]  # fmt: skip
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"content": "Stay in"})
        await client.messages.create(
            model="toy", messages=history, max_tokens=9, tools=[WEATHER], stop_sequences=["END"],
            system=[{"type": "text", "text": f"{BILLING} cc=2"}, {"type": "text", "text": "Be kind"}],
        )  # fmt: skip
        (body,) = engine.asked()

    assert [(message["role"], message.get("content")) for message in body["messages"]] == [
        ("system", "Be kind"), ("user", "Weather?"), ("assistant", None), ("tool", "rain"), ("user", "And now?"),
    ]  # fmt: skip
    (call,) = body["messages"][2]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"town": "Oslo"})
    assert (body["messages"][3]["tool_call_id"], body["stop"], body["max_tokens"]) == ("call_0", ["END"], 9)
    assert body["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]


async def test_a_forced_tool_goes_where_an_engine_can_be_forced(engine: FaultEngine, tmp_path: Path) -> None:
    async with gateway_to(engine, tmp_path) as (_, client):
        engine.script({"tool_calls": [("weather", {})]})
        asked = client.messages.create(
            model="toy", messages=ASK, max_tokens=9, tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"}
        )
        if engine.kind == "mlx":
            with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
                await asked
        else:
            assert (await asked).stop_reason == "tool_use"
            assert engine.asked()[0]["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_engine_that_dies_in_mid_answer_is_an_error_in_the_clients_own_shape(
    mortal: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    async with gateway_to(mortal, tmp_path) as (running, client):
        mortal.inject(die_after=3, die_how="close", tokens_per_s=50)
        with pytest.raises(anthropic.APIStatusError) as caught:
            await ask(client, streamed, messages=ASK, max_tokens=30)

        assert isinstance(caught.value.body, dict)
        assert caught.value.body["type"] == "error"
        assert caught.value.body["error"]["type"] == "api_error"
        assert "toy-1" in caught.value.body["error"]["message"]
        await running.until_idle()
        assert running.in_flight == 0


async def test_refusals_have_anthropics_shape_and_name_the_field(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        async with running.anthropic() as client:
            with pytest.raises(anthropic.BadRequestError, match="top_z") as caught:
                await client.messages.create(model="toy", messages=ASK, max_tokens=1, extra_body={"top_z": 1})
            with pytest.raises(anthropic.NotFoundError, match="did you mean `toy`"):
                await client.messages.create(model="toi", messages=ASK, max_tokens=1)
        async with running.anthropic("pl_owner1_" + "x" * 43) as stranger:
            with pytest.raises(anthropic.AuthenticationError) as unknown:
                await stranger.messages.create(model="toy", messages=ASK, max_tokens=1)

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.body["request_id"] == caught.value.response.headers["x-request-id"]
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["error"]["type"] == "authentication_error"


async def ask(client: anthropic.AsyncAnthropic, streamed: bool, **asked: Any) -> anthropic.types.Message:
    if not streamed:
        answer: anthropic.types.Message = await client.messages.create(model="toy", **asked)
        return answer
    async with client.messages.stream(model="toy", **asked) as stream:
        return await stream.get_final_message()
