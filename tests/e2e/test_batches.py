"""A batch outlives the death of the gateway and of the head: each of its lines is answered exactly once."""

import json

import pytest
from openai import OpenAI

from support.leaks import CANARY
from support.machine import Machine, Running, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.alone]
LINES = 500


def line(number: int) -> dict[str, object]:
    asked = {"model": "smollm2", "messages": [{"role": "user", "content": f"{CANARY} {number}"}], "max_tokens": 1}
    return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": asked}


def client_of(running: Running) -> OpenAI:
    return OpenAI(
        base_url=running.endpoint, api_key=running.api_key, max_retries=20, _strict_response_validation=True, timeout=30
    )


def kill(machine: Machine, role: str) -> None:
    (service,) = machine.services(role)
    service.kill()
    eventually(lambda: set(machine.services(role)) - {service}, 60, f"another {role}")


def test_a_batch_survives_the_kill_of_gateway_and_head_with_each_line_done_once(machine: Machine) -> None:
    running = machine.up()
    with client_of(running) as client:
        content = "".join(f"{json.dumps(line(number))}\n" for number in range(LINES)).encode()
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")

        def done() -> int:
            now = client.batches.retrieve(batch.id)
            assert now.status in ("validating", "in_progress", "finalizing", "completed"), now
            return now.request_counts.completed if now.request_counts is not None else 0

        counts = [0]
        for role in ("gateway", "head", "gateway"):
            wanted = counts[-1] + 80
            eventually(lambda: done() >= wanted, 300, f"{wanted} lines are done")  # noqa: B023 - called here only
            counts.append(done())
            kill(machine, role)
        assert counts[-1] < LINES, "nothing was left to be done after the last kill"
        eventually(lambda: client.batches.retrieve(batch.id).status == "completed", 600, "the batch is complete")
        ended = client.batches.retrieve(batch.id)
        assert ended.output_file_id is not None
        answers = [json.loads(text) for text in client.files.content(ended.output_file_id).text.splitlines()]

    assert ended.error_file_id is None
    assert ended.request_counts is not None
    assert (ended.request_counts.total, ended.request_counts.completed, ended.request_counts.failed) == (
        LINES,
        LINES,
        0,
    )
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    assert all(answer["response"]["body"]["usage"]["completion_tokens"] == 1 for answer in answers)
    print(f"RESULT batch lines={LINES} kills=3 done_at_kills={counts[1:]}")
