"""Requests that an engine refuses or cannot read, each with a word in it that its log must not repeat."""

from pathlib import Path

import httpx2

from support.leaks import CANARY

ALONE = {"connection": "close"}
CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
SAID = f"my name is {CANARY}"
ASKED: dict[str, object] = {"model": "smollm2", "messages": [{"role": "user", "content": SAID}], "max_tokens": 2}
STRANGE_SCHEMA = {"type": "object", "properties": {CANARY: {"type": CANARY, "$ref": f"#/{CANARY}"}}}
BODIES: tuple[tuple[str, dict[str, object]], ...] = (
    (CHAT, ASKED),
    (CHAT, ASKED | {"stream": True, "stream_options": {"include_usage": True}}),
    (CHAT, ASKED | {"messages": [{"role": "user", "content": f"{CANARY} " * 4000}]}),
    (CHAT, ASKED | {"messages": [{"role": CANARY, "content": SAID}]}),
    (CHAT, ASKED | {"messages": SAID}),
    (CHAT, ASKED | {"messages": [{"role": "user", "content": [{"type": CANARY, "text": SAID}]}]}),
    (CHAT, ASKED | {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": CANARY}]}]}),
    (
        CHAT,
        ASKED | {"response_format": {"type": "json_schema", "json_schema": {"name": CANARY, "schema": STRANGE_SCHEMA}}},
    ),
    (CHAT, ASKED | {"response_format": {"type": CANARY}}),
    (CHAT, ASKED | {"tools": [{"type": "function", "function": {"name": CANARY, "parameters": STRANGE_SCHEMA}}]}),
    (CHAT, ASKED | {"tools": CANARY, "tool_choice": {"type": "function", "function": {"name": CANARY}}}),
    (CHAT, ASKED | {"logit_bias": {CANARY: CANARY}, "max_tokens": CANARY, "temperature": CANARY}),
    (CHAT, ASKED | {"stop": [CANARY, 5], "model": CANARY, CANARY: SAID}),
    (TEXT, {"model": "smollm2", "prompt": SAID, "max_tokens": 2, "logprobs": 2}),
    (TEXT, {"model": "smollm2", "prompt": [SAID, 5, None, [CANARY]], "max_tokens": 2}),
    (TEXT, {"model": "smollm2", "prompt": f"{CANARY} " * 4000, "max_tokens": 2}),
)
RAW = (
    f'{{"messages": "{SAID}',
    f'{SAID}',
    f'["{CANARY}", 1]',
    f'{{"model": "smollm2", "messages": [{{"role": "user", "content": "\\ud800 {CANARY}"}}], "max_tokens": 2}}',
)  # fmt: skip


async def provoke(client: httpx2.AsyncClient) -> list[int]:
    """Send them all; what was answered to each. Each on a connection of its own: an engine may close one after what it
    could not read, just as the next request goes out on it."""
    answers = [await client.post(path, json=body, headers=ALONE) for path, body in BODIES]
    for text in RAW:
        answers += [await client.post(CHAT, content=text, headers={**ALONE, "content-type": "application/json"})]
    answers += [await client.get(f"/{CANARY}?q={CANARY}", headers={**ALONE, "x-request-id": CANARY})]
    return [answer.status_code for answer in answers]


def lines_with_a_leak(logs: Path) -> list[str]:
    """Where the word stands, by file and line."""
    return [
        f"{file.name}:{number}"
        for file in sorted(logs.glob("*.log"))
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if CANARY in line
    ]
