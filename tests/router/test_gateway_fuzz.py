"""The gateway asked what nobody thought of: schemathesis makes requests from its OpenAPI, and everybody sends them."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nodes.relay.contract import Address
from router.permissions import LOGIN_ROUTES
from support.callers import ANSWERED, KEYS, key_of, records
from support.engines import running_fault_engine
from support.gateway import EVERYTHING, MODEL, Running, access_with, engine_at, running_gateway
from support.generated import Case, as_request, broken_rule, drawn, operations_of
from support.leaks import CANARY

CASES = int(os.environ.get("POTLUCK_FUZZ_CASES", "500"))  # in all; 5000 before a release
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CALLERS = {  # of each kind in turn
    "without a key": ("nobody",),
    "a wrong key": ("stranger",),
    "an expired key": ("expired",),
    "a weak key": ("display", "narrow"),
    "a right key": ("admin", "user", "operator"),
}
UNKNOWN = {"nobody", "stranger", "expired"}
WEIGHTS = {
    "/v1/chat/completions": 6,
    "/v1/completions": 5,
    "/v1/models/{model_id}": 3,
    "/api/chat": 3,
    "/api/generate": 3,
    "/v1/embeddings": 3,
}
READING = ("/v1/embeddings", "/v1/rerank", "/v2/rerank", "/rerank", "/api/embed", "/api/embeddings")
ENDLESS = "/api/v1/events"  # an answer that goes on for as long as somebody listens
NOT_TAKEN = ("template", "suffix", "context")  # of Ollama's, where there is something in them
AT_ONCE = 8


@dataclass
class Report:
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


async def test_whoever_asks_whatever_gets_a_documented_answer_that_is_for_him(tmp_path: Path) -> None:
    report = Report()
    async with gateway(tmp_path) as (running, document):
        cases = made_of(document, CASES // len(CALLERS))
        asked = iter([(at, case, kind) for kind in CALLERS for at, case in enumerate(cases)])
        async with running.http(None) as client, asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(keep_asking(client, asked, report))
        await running.until_idle()

    assert not report.problems, "\n".join([f"{len(report.problems)} problems", *report.problems[:5]])
    assert report.statuses.total() == len(cases) * len(CALLERS)
    assert report.statuses["a right key", 200] > len(cases) / 8, "requests that no engine sees try little"
    print(f"RESULT fuzz cases={report.statuses.total()} {dict(sorted(report.statuses.items()))}")


@asynccontextmanager
async def gateway(root: Path) -> AsyncIterator[tuple[Running, dict[str, Any]]]:
    """Behind it a fault engine that does nothing wrong: whatever fails is the gateway's."""
    with running_fault_engine(root / "engine", "llamacpp", "--context", "64", "--model-name", MODEL) as engine:
        at = engine_at(Address("127.0.0.1", engine.port))
        async with running_gateway(root, [at], abilities={MODEL: EVERYTHING}) as running:
            running.view.install_access(access_with(running.paths, records(), sequence=2))
            async with running.http(KEYS["admin"]) as client:
                document = (await client.get("/openapi.json")).json()
            yield running, document


def made_of(document: dict[str, Any], count: int) -> list[Case]:
    """Half valid and half not, and of four three without what only keeps them from an engine."""
    operations = [one for one in operations_of(document) if one.path != ENDLESS]
    guarded = [one for one in operations if "security" in document["paths"][one.path][one.method]]
    made = [case for one in operations if one not in guarded for case in drawn(one, GenerationMode.POSITIVE, 1)]
    whole = sum(WEIGHTS.get(one.path, 1) for one in guarded)
    for one in guarded:
        share = (count - len(made)) * WEIGHTS.get(one.path, 1) // whole
        made += drawn(one, GenerationMode.POSITIVE, share - share // 2)
        made += drawn(one, GenerationMode.NEGATIVE, share // 2)
    made += made[: count - len(made)]
    for at, case in enumerate(made):
        if at % 4:
            bring_to_an_engine(case, stream=at % 8 > 4)
    return made


def bring_to_an_engine(case: Case, stream: bool) -> None:
    """Name the model that there is, and say something in each message: no schema tells either."""
    if isinstance(case.body, dict):
        streams = stream and case.path not in READING
        body: dict[str, Any] = {**case.body, "model": MODEL} | ({"stream": True} if streams else {})
        body.pop("dimensions", None)  # which this engine lacks
        if isinstance(body.get("messages"), list):
            body["messages"] = [told(message) for message in body["messages"]]
        for name in NOT_TAKEN:
            body.pop(name, None)
        case.body = body
    if case.path_parameters:
        case.path_parameters = {"model_id": MODEL}


def told(message: object) -> object:
    if not isinstance(message, dict):
        return message
    return {
        **message,
        "content": message.get("content") or CANARY,
        "tool_call_id": message.get("tool_call_id") or "call",
    }


async def keep_asking(client: httpx2.AsyncClient, asked: Iterator[tuple[int, Case, str]], report: Report) -> None:
    for at, case, kind in asked:
        who = CALLERS[kind][at % len(CALLERS[kind])]
        try:
            answer = await client.send(client.build_request(**request_of(case, who)))
        except httpx2.TransportError as error:
            report.problems.append(f"{who}: {case.as_curl_command()}\n{error!r}")
            continue
        report.statuses[kind, answer.status_code] += 1
        declared = case.path.replace("{model_id}", "{model_id:path}")
        problem = broken_rule(case, answer, CHECKS) or overstepped(declared, who, answer.status_code)
        if problem:
            report.problems.append(f"{who}: {case.as_curl_command()}\n{problem}")


def request_of(case: Case, who: str) -> dict[str, Any]:
    """With this caller's key. A stranger may also show what was made up for one."""
    request = as_request(case)
    headers = request["headers"]
    made_up = {name: headers.pop(name) for name in ("authorization", "x-api-key") if name in headers}
    key = key_of(who)
    if who == "stranger" and made_up.get("authorization"):
        headers.update(made_up)
    elif key is not None:
        headers["authorization"] = f"Bearer {key}"
    return request


def overstepped(path: str, who: str, status: int) -> str | None:
    """Where somebody was answered who may not be, or refused otherwise than he should be."""
    if path in LOGIN_ROUTES:  # they look at no header, and a key that was made up is nobody's
        return None if status in (400, 401, 403) else f"{path} answered {status}"
    refused = (401,) if who in UNKNOWN else (403,)
    if who not in ANSWERED[path] and status not in refused:
        return f"{path} answered {status}, not {refused[0]}"
    if who in ANSWERED[path] and status in (401, 403):
        return f"{path} refused somebody who may ask it: {status}"
    return None
