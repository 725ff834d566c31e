"""The real openai client, with strict response validation, against the real gateway on a real socket."""

from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from inventory.catalog import Capability
from nodes.snapshot import EngineKind
from support.engines import running_fault_engine
from support.gateway import engine_at, running_gateway, served_by
from support.upstream import answer_kindly, scripted_upstream

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]


async def test_models_are_listed_with_what_local_clients_look_for(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None, state="starting")]) as running, running.openai() as client:
        (model,) = (await client.models.list()).data
        one = await client.models.retrieve("toy")

    assert (model.id, model.created, model.owned_by) == ("toy", 7, "test")
    extra = one.to_dict()
    assert (extra["context_length"], extra["max_model_len"], extra["nodes"]) == (2048, 2048, [])
    assert extra["capabilities"] == ["chat", "completion", "tools"]


async def test_a_chat_and_its_usage_come_back(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.openai() as client,
    ):
        answer = await client.chat.completions.create(model="toy", messages=ASK)

        assert answer.choices[0].message.content == "Hello"
        (record,) = running.finished()
        assert (record.outcome, record.input_tokens, record.output_tokens, record.tokens_exact) == ("ok", 3, 2, True)
        assert (record.tenant, record.key_id, record.model, record.node_id) == ("home", "owner1", "toy", "here")


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_stream_counts_tokens_always_and_tells_them_when_asked(tmp_path: Path, wanted: bool) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.openai() as client,
    ):
        stream = await client.chat.completions.create(
            model="toy", messages=ASK, stream=True, stream_options={"include_usage": True} if wanted else openai.omit
        )
        chunks = [chunk async for chunk in stream]

        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
        assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([2] if wanted else [])
        assert upstream.asked[0].json["stream_options"] == {"include_usage": True}
        (record,) = running.finished()
        assert (record.output_tokens, record.tokens_exact, record.stream) == (2, True, True)


async def test_an_unknown_model_is_a_404_with_a_suggestion(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="toi", messages=ASK)

    assert caught.value.code == "model_not_found"
    assert "did you mean `toy`" in caught.value.message


async def test_a_wrong_key_is_a_401(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai("pl_owner1_" + "x" * 43) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="toy", messages=ASK)

    assert caught.value.code == "invalid_api_key"


async def test_an_unknown_field_is_a_400_that_names_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="toy", messages=ASK, extra_body={"chat_template": "{{1}}"})

    assert (caught.value.code, caught.value.param) == ("unknown_field", "chat_template")


async def test_a_model_without_a_ready_engine_is_a_503_that_says_why(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None, state="starting")]) as running, running.openai() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="toy", messages=ASK)

    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"] == "2"
    assert "starting: for a test" in caught.value.message


async def test_a_stream_whose_engine_reads_for_long_is_kept_alive(tmp_path: Path) -> None:
    """Comments, which every client passes over, then the answer as if nothing had been said."""
    with running_fault_engine(tmp_path / "engine", "vllm", "--first-token-s", "0.8") as engine:
        async with running_gateway(tmp_path, [served_by(engine)], reading_s=0.1) as running, running.http() as http:
            body = {"model": "toy", "messages": ASK, "max_tokens": 4, "stream": True}
            streamed = await http.post("/v1/chat/completions", json=body)
            assert streamed.headers["x-potluck-engine"] == "toy-1"
            text = streamed.text
            kept, _, answer = text.rpartition(": keepalive\n\n")
            assert kept.count(": keepalive") >= 2
            assert answer.startswith("data:")
            assert answer.endswith("data: [DONE]\n\n")
            whole = await http.post("/v1/chat/completions", json=body | {"stream": False})
            assert whole.json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("kind", ["llamacpp", "vllm"])
async def test_a_tool_that_must_be_called_needs_a_model_that_knows_tools(tmp_path: Path, kind: EngineKind) -> None:
    """llama.cpp leaves such a tool out and does not say so; vLLM makes any model call it."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    body = {"model": "toy", "messages": ASK, "tools": [tool], "tool_choice": "required", "max_tokens": 8}
    plain: dict[str, frozenset[Capability]] = {"toy": frozenset({"chat", "completion"})}
    with running_fault_engine(tmp_path / "engine", kind) as engine:
        async with running_gateway(tmp_path, [served_by(engine)], abilities=plain) as running, running.http() as http:
            forced = await http.post("/v1/chat/completions", json=body)
            offered = await http.post("/v1/chat/completions", json=body | {"tool_choice": "auto"})
    assert offered.status_code == 200
    if kind == "vllm":
        assert forced.status_code == 200
    else:
        error = forced.json()["error"]
        assert (forced.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "tool_choice")
