"""Real clients that ask for embeddings, against the real gateway, in front of engines that make them on every wire."""

import asyncio
import base64
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from cluster.limits import Limits
from inventory.catalog import Capability
from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from router.waiting_caps import WaitingCaps
from support.engines import FaultEngine, running_fault_engine
from support.fault_engine.vectors import vector_of
from support.gateway import KEY, Running, access_with, engine_at, key_record, running_gateway, served_by
from support.nodes import until
from support.published import departures

EMBED: dict[str, frozenset[Capability]] = {"toy": frozenset({"embed", "rerank"})}
KINDS: tuple[EngineKind, ...] = ("vllm", "llamacpp", "encoder")
CONTEXT = 16
TEXTS = ["the first text", "another one", "a third text of more words"]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[EngineKind, FaultEngine]]:
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(
                running_fault_engine(tmp_path_factory.mktemp(kind), kind, "--context", str(CONTEXT), "--only-reads")
            )
            for kind in KINDS
        }


@asynccontextmanager
async def gateway(root: Path, *served: FaultEngine, **more: Any) -> AsyncIterator[Running]:
    found = [engine_at(Address("127.0.0.1", one.port), f"toy-{at}", kind=one.kind) for at, one in enumerate(served)]
    async with running_gateway(root, found, abilities=EMBED, **more) as running:
        yield running


def packed(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


@pytest.mark.parametrize("kind", KINDS)
async def test_vectors_come_back_in_either_encoding_with_their_tokens(
    kind: EngineKind, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    async with gateway(tmp_path, engines[kind]) as running, running.openai() as client, running.http() as http:
        floats = await client.embeddings.create(model="toy", input=TEXTS, encoding_format="float")
        raw = await http.post("/v1/embeddings", json={"model": "toy", "input": TEXTS, "encoding_format": "base64"})
        records = running.finished()

    assert [one.embedding for one in floats.data] == [vector_of(text) for text in TEXTS]
    assert [one["embedding"] for one in raw.json()["data"]] == [packed(vector_of(text)) for text in TEXTS]
    words = sum(len(text.split()) for text in TEXTS)
    assert (floats.usage.prompt_tokens, floats.usage.total_tokens) == (words, words)
    assert departures("openai_chat", "/embeddings", floats.to_dict()) == []
    made = engines[kind].answers()
    for record in records:
        assert made[record.request_id].prompt == words
        assert (record.api, record.outcome, record.stream) == ("embeddings", "ok", False)
        assert (record.input_tokens, record.output_tokens, record.tokens_exact) == (words, 0, True)


async def test_the_openai_client_asks_for_base64_by_itself(
    engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    """Its types know lists of floats only, so where it is strict it refuses base64 of anybody, OpenAI's own as well."""
    many = [f"text {at}" for at in range(2048)]
    async with (
        gateway(tmp_path, engines["vllm"]) as running,
        openai.AsyncOpenAI(base_url=f"{running.base_url}/v1", api_key=KEY, max_retries=0) as client,
    ):
        answer = await client.embeddings.create(model="toy", input=many)
        of_tokens = await client.embeddings.create(model="toy", input=[[5, 6], [7]])

    assert [one.embedding for one in answer.data] == [vector_of(text) for text in many]
    assert [one.embedding for one in of_tokens.data] == [vector_of([5, 6]), vector_of([7])]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_batch_of_2048_is_one_request_of_its_engine(
    kind: EngineKind, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    texts = [f"text {at}" for at in range(2048)]
    before = engines[kind].state()["requests"]
    async with gateway(tmp_path, engines[kind]) as running, running.openai() as client:
        answer = await client.embeddings.create(model="toy", input=texts, encoding_format="float")

    assert [one.index for one in answer.data] == list(range(2048))
    assert (answer.data[2047].embedding, answer.usage.prompt_tokens) == (vector_of("text 2047"), 4096)
    assert engines[kind].state()["requests"] == before + 1


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
async def test_token_ids_reach_engines_that_take_them(
    kind: EngineKind, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    async with gateway(tmp_path, engines[kind]) as running, running.openai() as client:
        one = await client.embeddings.create(model="toy", input=[5, 6, 7], encoding_format="float")
        two = await client.embeddings.create(model="toy", input=[[5, 6], [7]], encoding_format="float")

    assert [vector.embedding for vector in one.data] == [vector_of([5, 6, 7])]
    assert [vector.embedding for vector in two.data] == [vector_of([5, 6]), vector_of([7])]
    assert (one.usage.prompt_tokens, two.usage.prompt_tokens) == (3, 3)


async def test_what_one_engine_cannot_another_does_and_none_is_a_400(
    engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    async with gateway(tmp_path, engines["encoder"], engines["vllm"]) as running, running.openai() as client:
        for _ in range(4):
            answer = await client.embeddings.create(model="toy", input=[[5, 6]], encoding_format="float", dimensions=4)
            assert answer.data[0].embedding == vector_of([5, 6], 4)
        assert {record.engine_id for record in running.finished()} == {"toy-1"}
    async with gateway(tmp_path / "other", engines["encoder"]) as running, running.openai() as client:
        for asked, param in (({"input": [[5, 6]]}, "input"), ({"input": "a", "dimensions": 4}, "dimensions")):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.embeddings.create(model="toy", encoding_format="float", **asked)
            assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)
    assert "send texts" not in caught.value.message


async def test_an_engine_that_packs_nothing_is_packed_for(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path / "engine", "llamacpp", "--floats-only") as engine:
        async with gateway(tmp_path, engine) as running, running.http() as http:
            raw = await http.post("/v1/embeddings", json={"model": "toy", "input": TEXTS, "encoding_format": "base64"})

    assert [one["embedding"] for one in raw.json()["data"]] == [packed(vector_of(text)) for text in TEXTS]
    assert raw.json()["usage"]["prompt_tokens"] == sum(len(text.split()) for text in TEXTS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_that_is_too_long_is_the_clients_fault_and_not_its_engines(
    kind: EngineKind, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    long = "word " * (CONTEXT + 1)
    async with gateway(tmp_path, engines[kind]) as running, running.openai() as client, running.http() as http:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(model="toy", input=["short", long])
        by_ollama = await http.post("/api/embed", json={"model": "toy", "input": long})
        (first, _), health = running.finished(), running.gateway.dispatcher.context.health

    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    assert (by_ollama.status_code, list(by_ollama.json())) == (400, ["error"])
    assert (first.outcome, first.input_tokens, dict(health.ejected)) == ("client_error", None, {})


async def test_ollamas_client_gets_vectors(engines: dict[EngineKind, FaultEngine], tmp_path: Path) -> None:
    async with gateway(tmp_path, engines["llamacpp"]) as running, running.ollama() as client:
        many = await client.embed("toy", TEXTS)
        one = await client.embed("toy:latest", TEXTS[0])
        old = await client.embeddings("toy", TEXTS[0])
        records = running.finished()

    assert many.embeddings == [vector_of(text) for text in TEXTS]
    assert (one.embeddings, one.prompt_eval_count) == ([vector_of(TEXTS[0])], 3)
    assert old.embedding == vector_of(TEXTS[0])
    assert [record.api for record in records] == ["ollama_embed", "ollama_embed", "ollama_embeddings"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
async def test_documents_are_ranked_under_every_name_of_the_route(
    kind: EngineKind, path: str, engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    body = {"model": "toy", "query": "blue cats", "documents": ["red dogs", {"text": "blue cats"}, "blue dogs"]}
    async with gateway(tmp_path, engines[kind]) as running, running.http() as http:
        answer = await http.post(path, json=body | {"top_n": 2, "return_documents": True})
        (record,) = running.finished()

    assert [(one["index"], one["relevance_score"]) for one in answer.json()["results"]] == [(1, 1.0), (2, 0.5)]
    assert answer.json()["results"][0]["document"] == {"text": "blue cats"}
    assert (record.api, record.input_tokens, record.output_tokens) == ("rerank", 12, 0)
    assert answer.json()["usage"] == {"prompt_tokens": 12, "total_tokens": 12}


async def test_a_model_that_does_something_else_is_named_with_those_that_do_it(
    engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    writer = engine_at(None, "writer-1", model="writer")
    reader = served_by(engines["vllm"])
    able: dict[str, frozenset[Capability]] = {"toy": frozenset({"embed"})}
    asked = {
        "/v1/embeddings": {"model": "writer", "input": "a"},
        "/v1/rerank": {"model": "toy", "query": "a", "documents": ["b"]},
        "/v1/chat/completions": {"model": "toy", "messages": [{"role": "user", "content": "hi"}]},
        "/v1/messages": {"model": "toy", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
        "/api/embed": {"model": "writer", "input": "a"},
    }
    said = {}
    async with (
        running_gateway(tmp_path, [reader, writer], ["toy", "writer"], abilities=able) as running,
        running.http() as http,
    ):
        for path, body in asked.items():
            answer = await http.post(path, json=body)
            assert answer.status_code == 400, (path, answer.text)
            told = answer.json()["error"]
            said[path] = told if isinstance(told, str) else told["message"]
        listed = {model["id"]: model["capabilities"] for model in (await http.get("/v1/models")).json()["data"]}
        assert {record.error_code for record in running.finished()} == {"unsupported_by_model"}

    assert said == {
        "/v1/embeddings": "`writer` is there to write text, not to make embeddings; `toy` is",
        "/v1/rerank": "`toy` is there to make embeddings, not to rerank; no model here is",
        "/v1/chat/completions": "`toy` is there to make embeddings, not to write text; `writer` is",
        "/v1/messages": "model: `toy` is there to make embeddings, not to write text; `writer` is",
        "/api/embed": "model: `writer` is there to write text, not to make embeddings; `toy` is",
    }
    assert listed == {"toy": ["embed"], "writer": ["chat", "completion", "tools"]}


async def test_a_client_that_leaves_frees_its_engine(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path / "engine", "vllm", "--first-token-s", "60") as engine:
        async with gateway(tmp_path, engine) as running, running.openai() as client:
            asking = asyncio.create_task(client.embeddings.create(model="toy", input=TEXTS))
            await until(lambda: engine.state()["active"] == 1, "the engine has it")
            asking.cancel()
            await until(lambda: engine.state()["cancelled"] == 1, "the engine has heard of it")
            await running.until_idle()
            (record,) = running.finished()

    assert (record.outcome, record.status, running.in_flight) == ("cancelled", 499, 0)


async def test_a_broken_engine_is_left_for_another_and_proves_itself_by_a_vector(
    engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    with running_fault_engine(tmp_path / "engine", "vllm", "--only-reads", "--failing") as broken:
        async with gateway(tmp_path, broken, engines["llamacpp"]) as running, running.openai() as client:
            for _ in range(3):
                answer = await client.embeddings.create(model="toy", input="a", encoding_format="float")
                assert answer.data[0].embedding == vector_of("a")
            health = running.gateway.dispatcher.context.health
            assert list(health.ejected) == ["toy-0"]
            broken.inject(failing=False)
            await until(lambda: not health.ejected, "the engine proved itself")


async def test_what_only_reads_waits_behind_nobody_who_writes(tmp_path: Path) -> None:
    """One user has as many chats waiting as he may. His vectors are made, and wait for their own kind only."""
    able: dict[str, frozenset[Capability]] = {"toy": frozenset({"embed"})}
    chat = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}
    caps = WaitingCaps(of_user=3)
    with (
        running_fault_engine(tmp_path / "reader", "vllm", "--first-token-s", "0.2") as reader,
        running_fault_engine(tmp_path / "writer", "vllm", "--silent") as writer,
    ):
        facts = [served_by(reader, slots=1), engine_at(Address("127.0.0.1", writer.port), "w-1", "writer", slots=1)]
        async with (
            running_gateway(tmp_path, facts, ["toy", "writer"], waiting=caps, abilities=able) as running,
            running.openai() as client,
            running.http() as http,
        ):
            chats = [asyncio.create_task(http.post("/v1/chat/completions", json=chat)) for _ in range(5)]
            await running.until_waiting(3)
            refused = await http.post("/v1/chat/completions", json=chat)
            asked = (client.embeddings.create(model="toy", input="a", encoding_format="float") for _ in range(5))
            answers = await asyncio.gather(*asked)
            assert running.waiting == 3
            for task in chats:
                task.cancel()
            await asyncio.gather(*chats, return_exceptions=True)
            await running.until_idle()

    assert refused.status_code == 429
    assert [one.data[0].embedding for one in answers] == [vector_of("a")] * 5


async def test_what_is_read_counts_against_limits_of_tokens(
    engines: dict[EngineKind, FaultEngine], tmp_path: Path
) -> None:
    """All inputs of a batch, before as far as their characters tell, and then as its engine counted."""
    key = replace(key_record(), role="user", limits=Limits(tokens_per_minute=40))
    async with gateway(tmp_path, engines["encoder"]) as running, running.http() as http:
        running.view.install_access(access_with(running.paths, [key], sequence=2))
        answers = [
            await http.post("/v1/embeddings", json={"model": "toy", "input": texts})
            for texts in (["a few short words"] * 5, ["one", "two"], ["word " * 10] * 4, ["a text of words"] * 20)
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    left = [answer.headers["x-ratelimit-remaining-tokens"] for answer in answers[:2]]
    assert left == ["19", "18"]  # 21 were expected of the first, which has 20
    assert "this prompt alone is longer" in answers[3].json()["error"]["message"]
