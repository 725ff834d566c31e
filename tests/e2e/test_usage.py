"""Usage of requests of all sorts against the real engine's own counters; `POTLUCK_USAGE_REQUESTS=1000` for many."""

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import httpx2
import pytest

from support.machine import Machine, Running, busy_slots, eventually, tokens_made, tokens_read
from support.mixed_requests import Got, Mix, ask_all, mixed

pytestmark = pytest.mark.e2e

REQUESTS = int(os.environ.get("POTLUCK_USAGE_REQUESTS", "30"))
MODEL = "smollm2"
IN_FLIGHT = 16  # tokens that an engine makes between the last that came and the end it hears of


@dataclass(frozen=True)
class Counts:
    """Tokens that were read, without those of the cache, and tokens made: by the engine, and by `potluck usage`."""

    engine_read: int
    engine_made: int
    read: int
    made: int
    requests: int
    inexact: int

    def since(self, before: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__))


def counts(machine: Machine, running: Running, mark: str) -> Counts:
    """Once no slot works. A last request, counted like all others, shows when all before it are on record."""
    eventually(lambda: not busy_slots(machine), 60, "the engine works on nothing")
    headers = {"authorization": f"Bearer {running.api_key}", "x-client-request-id": mark}
    body = {"model": MODEL, "prompt": "so", "max_tokens": 1}
    assert httpx2.post(f"{running.endpoint}/completions", json=body, headers=headers, timeout=60).status_code == 200
    eventually(lambda: mark in _on_record(machine), 30, "the last request is on record")
    total = json.loads(machine.potluck("usage", "--by", "model", "--json").stdout)["total"]
    engine = tokens_read(machine), tokens_made(machine)
    read = total["input_tokens"] - total["cached_tokens"]
    return Counts(*engine, read, total["output_tokens"], total["requests"], total["inexact"])


def _on_record(machine: Machine) -> set[str | None]:
    with closing(sqlite3.connect(machine.state_dir / "telemetry.db")) as connection:
        return {
            row[0] for row in connection.execute("SELECT json_extract(record, '$.client_request_id') FROM requests")
        }


async def ask(running: Running, count: int, mix: Mix, seed: int) -> list[Got]:
    headers = {"authorization": f"Bearer {running.api_key}"}
    async with httpx2.AsyncClient(base_url=running.root, headers=headers, trust_env=False, timeout=120) as client:
        return await ask_all(client, mixed(count, mix, seed), together=4)


async def test_usage_equals_the_engines_counters_and_is_within_the_tokens_in_flight_where_clients_left(
    shared_machine: Machine, running: Running
) -> None:
    start = counts(shared_machine, running, "before")
    await ask(running, REQUESTS * 2 // 3, Mix(MODEL, leaving=0.0, longest=6, words=(2, 4)), seed=7)
    whole = counts(shared_machine, running, "between").since(start)
    await ask(running, REQUESTS // 3, Mix(MODEL, leaving=0.6, longest=24, words=(2, 4)), seed=8)
    mixed_up = counts(shared_machine, running, "after").since(start)

    print(
        f"RESULT usage engine=llamacpp requests={mixed_up.requests} broken_off={mixed_up.inexact} "
        f"completed_prompt={whole.read}/{whole.engine_read} completed_output={whole.made}/{whole.engine_made} "
        f"all_prompt={mixed_up.read}/{mixed_up.engine_read} all_output={mixed_up.made}/{mixed_up.engine_made}"
    )
    assert (whole.read, whole.made, whole.inexact) == (whole.engine_read, whole.engine_made, 0)
    assert 0 <= mixed_up.engine_made - mixed_up.made <= IN_FLIGHT * (mixed_up.inexact + 1)


def test_a_key_is_named_by_the_head_and_one_that_never_was_is_not_found(
    shared_machine: Machine, running: Running
) -> None:
    counts(shared_machine, running, "named")
    document = json.loads(shared_machine.potluck("usage", "--key", "owner", "--json").stdout)
    unknown = shared_machine.potluck("usage", "--key", "ownr", expect=4)

    assert {row["key"] for row in document["rows"]} == {"owner"}
    assert "did you mean owner?" in unknown.stderr
