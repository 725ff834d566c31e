"""POST /api/v1/route/explain: the decision that a request would get now, and nothing else of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.snapshot import EngineSnapshot
from router.decision_query import last_decision
from router.explain import explain
from router.replay import replayed
from router.route_api import BODY_LIMIT_BYTES, PATH
from router.telemetry import TelemetryWriter
from support.decisions import CPU, GPU
from support.gateway import Running, engine_at, running_gateway
from support.leaks import CANARY
from support.upstream import answer_kindly, scripted_upstream

CHAT = {"model": "toy", "messages": [{"role": "user", "content": CANARY * 40}], "stream": True}


@asynccontextmanager
async def measured(root: Path, telemetry: TelemetryWriter | None = None) -> AsyncIterator[Running]:
    """A slow engine `a` and a fast one `b`, by what was measured of them."""
    async with scripted_upstream(answer_kindly) as upstream:

        def engine(name: str) -> EngineSnapshot:
            return engine_at(upstream.address, name, context_tokens=32_768)

        engines = [replace(engine("a"), rates=CPU), replace(engine("b"), rates=GPU)]
        async with running_gateway(root, engines, sinks=(telemetry,) if telemetry else ()) as running:
            yield running


async def asked(running: Running, **fields: object) -> dict[str, Any]:
    async with running.http() as client:
        answer = await client.post(PATH, json={"model": "toy", **fields})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_it_says_where_a_request_would_go_and_takes_no_place(tmp_path: Path) -> None:
    async with measured(tmp_path) as running:
        said = await asked(running, prompt_tokens=6000, output_tokens=200)
        in_flight, records = running.in_flight, running.finished()

    assert (said["chosen"], said["reason"], said["policy"]) == ("b", "least_cost", "seconds")
    assert (said["request_id"], said["prompt_tokens"], said["unit"]) == (None, 6000, "s")
    assert [one["engine_id"] for one in said["ranking"]] == ["b", "a"]
    assert 0.5 < said["predicted_s"] < 3.0
    assert said["margin"] > 10.0
    assert "longer_wait" in {flip["kind"] for flip in said["flips"]}
    assert (in_flight, records) == (0, [])


async def test_an_answer_that_is_allowed_less_costs_less(tmp_path: Path) -> None:
    async with measured(tmp_path) as running:
        short, long = [await asked(running, prompt_tokens=100, output_tokens=count) for count in (2, 4000)]

    assert short["ranking"][0]["terms"]["decode"] < long["ranking"][0]["terms"]["decode"]


async def test_a_conversation_is_asked_for_by_its_name(tmp_path: Path) -> None:
    async with measured(tmp_path) as running, running.http() as client:
        answer = await client.post("/v1/chat/completions", json=CHAT, headers={"session-id": "s-1"})
        known, other = [await asked(running, prompt_tokens=90, session=name) for name in ("s-1", "s-2")]

    homes = {one["engine_id"]: one["home"] for one in known["ranking"]}
    assert homes == {name: name == answer.headers["x-potluck-engine"] for name in ("a", "b")}
    assert not any(one["home"] for one in other["ranking"])


async def test_a_prompt_that_is_too_long_for_all_is_nobodys_with_the_reasons(tmp_path: Path) -> None:
    async with measured(tmp_path) as running:
        said = await asked(running, prompt_tokens=1_000_000)

    assert (said["chosen"], said["reason"], said["ranking"], said["smallest"]) == (None, "nobody", [], None)
    assert [one["engine_id"] for one in said["rejected"]] == ["a", "b"]
    assert "cannot fit 32768 tokens" in said["rejected"][0]["why"]


async def test_what_was_predicted_and_observed_of_a_request_is_on_record(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "state").ensure()
    telemetry = TelemetryWriter(paths.telemetry_db, SystemClock())
    async with measured(tmp_path, telemetry) as running, running.http() as client:
        answer = await client.post("/v1/chat/completions", json=CHAT)
        running.finished()
    telemetry.close()
    record = last_decision(paths.telemetry_db)
    said = explain(record)

    assert (said.request_id, said.chosen) == (answer.headers["x-request-id"], answer.headers["x-potluck-engine"])
    assert said.reason == answer.headers["x-potluck-route-reason"]
    assert said.predicted_s is not None and said.observed_s is not None and said.observed_s > 0
    assert replayed(record).differences == ()
    assert CANARY.encode() not in paths.telemetry_db.read_bytes()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"model": "nix", "prompt_tokens": 5}', 404, "model_not_found"),
        (b'{"model": "toy"}', 400, "invalid_value"),
        (b'{"model": "toy", "prompt_tokens": 0}', 400, "invalid_value"),
        (b'{"model": "toy", "prompt_tokens": 5, "prompt": "x"}', 400, "unknown_field"),
        (b"{", 400, "invalid_json"),
        (b" " * (BODY_LIMIT_BYTES + 1), 413, "request_too_large"),
    ],
)
async def test_what_is_no_question_is_refused(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async with measured(tmp_path) as running, running.http() as client:
        answer = await client.post(PATH, content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert json.loads(answer.content)["error"]["message"]
