"""Embeddings: what is asked of engines, what clients get, and whom a request may go to."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.catalog import Capability, ModelName
from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineId, EngineKind
from router.capabilities import LACKS, can_do, lacking, proof_of_life
from router.decision import routing_table
from router.dialects import embeddings, ollama_embed, rerank
from router.dialects.embeddings import EmbeddingsVoice, float_bytes, floats_in
from router.errors import ApiError
from router.request import Arrival, EngineApi, Identity, Parsed
from router.scoring import decide
from support.gateway import cluster_of, engine_at

ARRIVAL = Arrival("req_1", None, "embeddings", Identity("k", "t", "g", "user", "private", frozenset()), 0.0, 0.0)
RATES = Rates(221.7, 32_017.5, 0.0281, 0.00803, 2.51e-7)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


def asking(**fields: object) -> Parsed:
    return embeddings.parse(json.dumps({"model": "toy", "input": "two words", **fields}).encode())


def written(parsed: Parsed) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(parsed.prompt.encode("served", stream=False))
    return body


def said(parsed: Parsed, answer: dict[str, Any]) -> dict[str, Any]:
    assert parsed.voice is not None
    told: dict[str, Any] = json.loads(parsed.voice(ARRIVAL, 0).whole(json.dumps(answer).encode()))
    return told


def answer_with(*vectors: list[float] | str) -> dict[str, Any]:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "served", "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def test_an_engine_is_asked_for_what_its_client_wants_and_nothing_else() -> None:
    parsed = asking(input=["a", "bcd"], encoding_format="base64", user="somebody")

    assert written(parsed) == {"model": "served", "input": ["a", "bcd"], "encoding_format": "base64"}
    assert (parsed.prompts, parsed.prompt_characters, parsed.characters) == (2, 3, 4)
    assert (parsed.stream, parsed.output_tokens_limit, parsed.writes) == (False, 0, False)


@pytest.mark.parametrize(
    ("given", "prompts", "tokens"), [([5, 6, 7], 1, 3), ([[5, 6], [7]], 2, 3), ("a text", 1, None)]
)
def test_token_ids_are_counted_and_need_an_engine_that_takes_them(
    given: object, prompts: int, tokens: int | None
) -> None:
    parsed = asking(input=given)

    assert (parsed.prompts, parsed.known_tokens) == (prompts, tokens)
    assert parsed.characters == (len("a text") if tokens is None else 4 * tokens)  # what waits has a size
    assert ("token_ids" in parsed.needs) is (tokens is not None)
    assert written(parsed)["input"] == given


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ["a", 5]}, "input", "invalid_request"),
        ({"input": [5, [6]]}, "input", "invalid_request"),
        ({"input": ["a"] * 2049}, "input", "too_large"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a", ""]}, "input[1]", "invalid_value"),
        ({"input": [-1]}, "input[0]", "invalid_value"),
        ({"input": [[]]}, "input[0]", "invalid_value"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"dimensions": 0}, "dimensions", "invalid_value"),
        ({"truncate": True}, "truncate", "unknown_field"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        asking(**fields)

    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)


def test_a_batch_is_as_long_as_openai_allows() -> None:
    assert asking(input=["a"] * 2048).prompts == 2048


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        ("vllm", {"dimensions": 5, "input": [1]}, None),
        ("llamacpp", {"input": [1]}, None),
        ("llamacpp", {"dimensions": 5}, "lacks: its engine has no dimensions"),
        ("encoder", {}, None),
        ("encoder", {"input": [1]}, "lacks: its engine has no token_ids"),
        ("mlx", {}, "lacks: its engine has no embeddings"),
    ],
)
def test_what_an_engine_lacks_is_a_reason_against_it(kind: EngineKind, fields: dict[str, object], why: str) -> None:
    assert lacking(asking(**fields).needs, LACKS[kind]) == why


def test_an_answer_in_the_wanted_encoding_goes_on_as_it_is() -> None:
    raw = json.dumps(answer_with("AAAAAA==")).encode()

    assert EmbeddingsVoice(packed=True).whole(raw) is raw


@given(st.lists(st.lists(FLOAT, min_size=1, max_size=9), min_size=1, max_size=5))
def test_either_encoding_says_the_same_numbers(vectors: list[list[float]]) -> None:
    floats, base64 = answer_with(*vectors), answer_with(*(floats_in(float_bytes(one), packed=True) for one in vectors))

    assert said(asking(encoding_format="base64"), floats)["data"] == base64["data"]
    assert said(asking(encoding_format="float"), base64)["data"] == floats["data"]
    assert [floats_in(float_bytes(vector), packed=False) for vector in vectors] == vectors


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data":[]}', b'{"data":[{"index":0,"embedding":"!!!"}]}', b'{"data":[{"embedding":"AAA="}]}']
)
def test_what_is_no_answer_is_an_engines_fault(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        EmbeddingsVoice(packed=False).whole(body)


def test_ollama_asks_the_same_and_hears_it_in_its_own_shape() -> None:
    embed = ollama_embed.parse(b'{"model":"toy:latest","input":["a","b"],"truncate":true,"options":{"num_ctx":9}}')
    old = ollama_embed.parse_old(b'{"model":"toy","prompt":"a","keep_alive":-1}')
    answer = answer_with([0.5, 1.0], [0.25, 0.0])
    answer["data"].reverse()

    assert (embed.model, written(embed)) == ("toy", {"model": "served", "input": ["a", "b"]})
    assert said(embed, answer) == {
        "model": "toy:latest",
        "embeddings": [[0.5, 1.0], [0.25, 0.0]],
        "prompt_eval_count": 3,
    }
    assert (written(old)["input"], said(old, answer)) == ("a", {"embedding": [0.5, 1.0]})


RERANK = {"model": "toy", "query": "q", "documents": ["a", {"text": "b"}, "c"]}
SCORES = {"results": [{"index": at, "relevance_score": score} for at, score in enumerate((0.1, 0.9, 0.9))]}


def ranked(**fields: object) -> Parsed:
    return rerank.parse(json.dumps({**RERANK, **fields}).encode())


def test_documents_come_in_the_order_of_their_scores_whoever_gave_them() -> None:
    few = said(ranked(top_n=2, return_documents=True), SCORES)

    assert written(ranked(top_n=2, return_documents=True)) == {
        "model": "served", "query": "q", "documents": ["a", "b", "c"],
    }  # fmt: skip
    assert [result["index"] for result in said(ranked(), SCORES)["results"]] == [1, 2, 0]
    assert few["results"] == [
        {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}},
        {"index": 2, "relevance_score": 0.9, "document": {"text": "c"}},
    ]
    assert (few["id"], few["model"], few["usage"]) == ("req_1", "toy", {"prompt_tokens": 0, "total_tokens": 0})


@pytest.mark.parametrize("indexes", [(0, 1), (0, 1, 1), (0, 1, 3), (0, 1, -1), (0, 1, 2, 3)])
def test_scores_of_other_documents_are_an_engines_fault(indexes: tuple[int, ...]) -> None:
    with pytest.raises(msgspec.DecodeError):
        said(ranked(), {"results": [{"index": at, "relevance_score": 0.5} for at in indexes]})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": [{"title": "a"}]}, "documents[0].title"),
        ({"query": ""}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"max_chunks_per_doc": 5}, "max_chunks_per_doc"),
    ],
)
def test_a_field_of_a_rerank_that_is_wrong_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ranked(**fields)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_engines_that_only_read_are_chosen_by_requests_whatever_was_measured_of_them() -> None:
    at = Address("127.0.0.1", 1)
    engines = [replace(engine_at(at, f"toy-{number}"), rates=RATES, cache_tokens=100) for number in (1, 2)]
    can = {"toy": frozenset[Capability]({"embed"})}
    routes = routing_table(cluster_of(engines, abilities=can)).models[ModelName("toy")]

    decision = decide(routes, asking(input=["a long text " * 50] * 9), {EngineId("toy-1"): 2, EngineId("toy-2"): 1}, {})

    assert [(one.proof, one.rates, one.cache_tokens) for one in routes.candidates] == [("embeddings", None, 0)] * 2
    assert (decision.reason, [place.engine_id for place in decision.places]) == ("least_loaded", ["toy-2", "toy-1"])


@pytest.mark.parametrize(
    ("model", "proof"),
    [
        ({"chat", "completion"}, "completions"),
        ({"embed"}, "embeddings"),
        ({"rerank"}, "rerank"),
        ({"embed", "rerank"}, "embeddings"),
        ((), "completions"),
    ],
)
def test_a_model_proves_itself_by_what_it_is_there_for(model: Iterable[Capability], proof: EngineApi) -> None:
    assert proof_of_life(frozenset(model)) == proof
    assert can_do(proof, frozenset(model))
