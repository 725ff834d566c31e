"""Answers that the gateway puts together from a stream are what the engine itself would have said."""

import json
from typing import Any

import httpx2
import pytest

from support.leaks import CANARY
from support.machine import Machine, Running, engine_client

pytestmark = pytest.mark.e2e

CHAT = {"messages": [{"role": "user", "content": f"Name three colours of {CANARY}."}], "max_tokens": 12}
TOOL = {"type": "function", "function": {"name": "paint", "parameters": {"type": "object", "properties": {}}}}


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from one answer to the next; of the usage, without what the prompt cache changes."""
    kept = {key: value for key, value in answer.items() if key not in ("id", "created", "timings")}
    kept["usage"] = {key: kept["usage"][key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")}
    kept["choices"] = sorted((_choice(choice) for choice in kept["choices"]), key=lambda choice: choice["index"])
    return kept


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in choice.items() if value is not None}
    if "message" in said:
        said["message"] = {key: value for key, value in said["message"].items() if value is not None}
        for call in said["message"].get("tool_calls", ()):
            call.pop("id")  # random
    if "logprobs" in said:
        said["logprobs"] = [token["token"] for token in said["logprobs"]["content"]]
    return said


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2}),
        ("/v1/chat/completions", {**CHAT, "n": 2}),
        ("/v1/chat/completions", {**CHAT, "stop": ["a"]}),
        ("/v1/chat/completions", {**CHAT, "tools": [TOOL], "max_tokens": 60}),
        ("/v1/completions", {"prompt": f"Once upon a time {CANARY}", "max_tokens": 12}),
        ("/v1/completions", {"prompt": ["Once upon", "The sea"], "max_tokens": 8, "logprobs": 1}),
    ],
)
def test_an_assembled_answer_is_the_engines_own(
    shared_machine: Machine, running: Running, path: str, fields: dict[str, Any]
) -> None:
    body = {"model": "smollm2", "temperature": 0, "seed": 1, **fields}
    ours = httpx2.post(
        f"{running.root}{path}", json=body, headers={"authorization": f"Bearer {running.api_key}"}, timeout=60
    )
    with engine_client(shared_machine) as engine:
        theirs = engine.post(path, json=body)

    assert (ours.status_code, theirs.status_code) == (200, 200), (ours.text, theirs.text)
    assert comparable(ours.json()) == comparable(json.loads(theirs.text))
