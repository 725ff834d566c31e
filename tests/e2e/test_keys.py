"""Keys on a real machine: made by the command, used by the OpenAI client, gone within seconds, and nowhere on disk."""

import json
import sqlite3
from contextlib import closing
from time import monotonic

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from support.leaks import CANARY
from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"Say hello to {CANARY}."}]


def made(machine: Machine, name: str, *arguments: str) -> str:
    return machine.potluck("keys", "create", "--name", name, *arguments).stdout.strip()


def client_of(running: Running, key: str) -> openai.OpenAI:
    headers = {"x-openwebui-user-id": "u-17"}
    return openai.OpenAI(base_url=running.endpoint, api_key=key, max_retries=0, default_headers=headers)


def ask(running: Running, key: str) -> str:
    with client_of(running, key) as client:
        answer = client.chat.completions.create(model="smollm2", messages=MESSAGES, max_tokens=4)
    return answer.choices[0].message.content or ""


def test_each_key_does_what_it_may_and_a_revoked_one_nothing(shared_machine: Machine, running: Running) -> None:
    webui = made(shared_machine, "webui", "--model", "smol*", "--front-end")
    display = made(shared_machine, "wall", "--role", "display")
    elsewhere = made(shared_machine, "elsewhere", "--model", "other-*")

    eventually(lambda: _status(running, elsewhere, "/v1/models") == 200, 30, "the last key is known")
    assert ask(running, webui)
    with pytest.raises(openai.PermissionDeniedError, match="lacks the scope `inference`"):
        ask(running, display)
    assert _status(running, display, "/metrics") == 200
    assert _status(running, webui, "/metrics") == 403
    with pytest.raises(openai.NotFoundError, match="no model `smollm2` here"):
        ask(running, elsewhere)

    limited = shared_machine.potluck("keys", "limit", "webui", "requests_per_minute=1", "tokens_per_day=1000")
    assert "requests per minute 1; tokens per day 1,000" in limited.stdout
    eventually(lambda: _refused(running, webui), 30, "the second request in a minute is refused")

    begin_s = monotonic()
    shared_machine.potluck("keys", "revoke", "webui", "--yes")
    eventually(lambda: _status(running, webui, "/v1/models") == 401, 15, "the revoked key is refused")
    print(f"RESULT key_revoked_after_s={monotonic() - begin_s:.2f}")

    eventually(lambda: "u-17" in _users(shared_machine), 30, "the request is on record with its user")
    files = [path for path in shared_machine.state_dir.rglob("*") if path.is_file() and "models" not in path.parts]
    secrets = [key.split("_", 2)[2].encode() for key in (webui, display, elsewhere)]
    assert [path for path in files if any(secret in path.read_bytes() for secret in secrets)] == []


def _refused(running: Running, key: str) -> bool:
    try:
        ask(running, key)
    except openai.RateLimitError as error:
        return "this key has used its 1 request per minute" in error.message
    return False


def _status(running: Running, key: str, path: str) -> int:
    return httpx2.get(f"{running.root}{path}", headers={"authorization": f"Bearer {key}"}, timeout=30).status_code


def _users(machine: Machine) -> set[str | None]:
    with closing(sqlite3.connect(machine.state_dir / "telemetry.db")) as connection:
        records = [json.loads(row[0]) for row in connection.execute("SELECT record FROM requests")]
    return {record.get("user") for record in records}
