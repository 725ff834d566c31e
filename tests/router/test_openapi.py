"""The gateway's OpenAPI document: it says of each route what it takes, what it answers and whom."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cluster.routes import NamedRoute, RouteRule
from inventory.catalog import ModelName
from router.dialects import DIALECTS
from router.errors import ApiError
from router.permissions import LOGIN_ROUTES, NEEDED, OPEN_ROUTES
from support.gateway import KEY, Running, access_with, cluster_of, engine_at, key_record, running_gateway

HOT = ("/v1/chat/completions", "/v1/completions")
STREAMS = {
    **dict.fromkeys((*HOT, "/v1/messages", "/v1/responses"), "text/event-stream"),
    **dict.fromkeys(("/api/chat", "/api/generate"), "application/x-ndjson"),
}
READING = ("/v1/embeddings", "/v1/rerank", "/v2/rerank", "/rerank", "/api/embed", "/api/embeddings")
ENVELOPES = {"Anthropic": "AnthropicError", "Ollama": "OllamaError", "": "ErrorEnvelope"}
USER = {"role": "user", "content": "hi"}
BODIES: tuple[tuple[str, dict[str, object], bool], ...] = (
    (HOT[0], {"model": "toy", "messages": [USER]}, True),
    (HOT[0], {"model": "toy", "messages": [USER], "stop": ["a"], "n": 4, "logit_bias": {"5": -3.5}}, True),
    (HOT[0], {"model": "toy", "messages": [USER], "response_format": {"type": "json_object"}}, True),
    (HOT[0], {"model": "toy", "messages": [USER], "tools": [{"type": "function", "function": {"name": "f"}}]}, True),
    (HOT[0], {"model": "toy", "messages": []}, False),
    (HOT[0], {"model": "toy", "messages": [USER], "n": 5}, False),
    (HOT[0], {"model": "toy", "messages": [USER], "chat_template": "x"}, False),
    (HOT[0], {"model": "toy", "messages": [USER], "response_format": {"type": "grammar"}}, False),
    (HOT[0], {"messages": [USER]}, False),
    (HOT[1], {"model": "toy", "prompt": ["a", "b"], "best_of": 1}, True),
    (HOT[1], {"model": "toy", "prompt": "a", "suffix": "b"}, False),
    ("/api/chat", {"model": "toy", "messages": [USER], "format": {"type": "object"}, "think": "low"}, True),
    ("/api/chat", {"model": "toy", "messages": [USER], "options": {"num_ctx": 5, "mirostat": 0}}, True),
    ("/api/chat", {"model": "toy", "messages": [USER], "options": {"mirostat": 1}}, False),
    ("/api/chat", {"model": "toy", "messages": [{"role": "user", "parts": []}]}, False),
    ("/api/generate", {"model": "toy", "prompt": "a", "format": "json", "raw": False}, True),
    ("/api/generate", {"model": "toy", "prompt": "a", "format": "yaml"}, False),
    ("/v1/embeddings", {"model": "toy", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 5}, True),
    ("/v1/embeddings", {"model": "toy", "input": [[1, 2], [3]]}, True),
    ("/v1/embeddings", {"model": "toy", "input": [], "encoding_format": "float"}, False),
    ("/v1/embeddings", {"model": "toy", "input": "a", "encoding_format": "int8"}, False),
    ("/v1/rerank", {"model": "toy", "query": "a", "documents": ["b", {"text": "c"}], "top_n": 1}, True),
    ("/v1/rerank", {"model": "toy", "query": "a", "documents": [{"text": "c", "title": "d"}]}, False),
    ("/api/embed", {"model": "toy", "input": ["a"], "truncate": True}, True),
    ("/api/embed", {"model": "toy", "input": [5]}, False),
    ("/api/embeddings", {"model": "toy", "prompt": "a", "options": {"num_ctx": 5}}, True),
    ("/api/embeddings", {"model": "toy", "input": "a"}, False),
)


async def document_of(running: Running) -> dict[str, Any]:
    async with running.http() as client:
        answer = await client.get("/openapi.json")
    document: dict[str, Any] = answer.json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


async def test_every_route_names_its_scope_and_the_refusals_of_those_who_lack_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        document = await document_of(running)
    scopes = {path.replace(":path}", "}"): scope for path, scope in NEEDED.items()}

    hidden = {"/openapi.json", "/dashboard", "/dashboard/{path:path}", "/dashboard/oidc/login", "/dashboard/oidc/back"}
    assert {path for path, _ in operations(document)} == (scopes.keys() | OPEN_ROUTES | LOGIN_ROUTES) - hidden
    for path, operation in operations(document):
        refusals = {"401", "403"} & operation["responses"].keys()
        if path in OPEN_ROUTES:
            assert ("security" in operation, refusals) == (False, set())
        elif path in LOGIN_ROUTES:
            assert ("security" in operation, refusals) == (False, {"401", "403"})
        else:
            assert operation["security"] == [{"bearer": [scopes[path]]}, {"x-api-key": [scopes[path]]}]
            assert refusals == {"401", "403"}
        assert {"400", "408", "431"} <= operation["responses"].keys()
        assert not {"422", "499", "500"} & operation["responses"].keys()


async def test_every_reference_leads_somewhere_and_every_error_has_the_envelope(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        document = await document_of(running)

    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(document)):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for name, said in document["components"]["responses"].items():
        envelope = next(envelope for begins, envelope in ENVELOPES.items() if name.startswith(begins))
        assert said["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{envelope}"}
    assert "retry-after" in document["components"]["responses"]["Limited"]["headers"]
    for path, stream in STREAMS.items():
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert content.keys() == {"application/json", stream}


async def test_what_only_reads_has_no_stream(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        document = await document_of(running)

    for path in READING:
        operation = document["paths"][path]["post"]
        assert operation["responses"]["200"]["content"].keys() == {"application/json"}


@pytest.mark.parametrize(("path", "body", "valid"), BODIES)
async def test_the_schema_of_a_body_takes_what_the_dialect_takes(
    tmp_path: Path, path: str, body: dict[str, object], valid: bool
) -> None:
    async with running_gateway(tmp_path, []) as running:
        document = await document_of(running)
    reference = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**reference, "components": document["components"]})

    assert validator.is_valid(body) is valid
    assert _parses(path, body) is valid


def _parses(path: str, body: dict[str, object]) -> bool:
    try:
        next(dialect for dialect in DIALECTS.values() if dialect.path == path).parse(json.dumps(body).encode())
    except ApiError:
        return False
    return True


async def test_a_name_that_is_listed_for_others_only_is_a_404_though_a_rule_leads_somewhere(tmp_path: Path) -> None:
    """Its otherwise-model is not this key's, the model of a rule for its group is."""
    route = NamedRoute("auto", (RouteRule("class", ModelName("special"), groups=("family",)),), ModelName("toy"))
    async with running_gateway(tmp_path, []) as running, running.http(KEY) as client:
        some = replace(key_record(), role="user", models=("special",))
        running.view.install_access(access_with(running.paths, [some], sequence=2))
        snapshot = cluster_of([engine_at(None)], ("toy", "special"), sequence=2)
        running.view.install_cluster(replace(snapshot, routes=(route,)))
        answer = await client.get("/v1/models/auto")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
