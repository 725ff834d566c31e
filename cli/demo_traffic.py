"""Somebody who uses the demo: two made-up keys that ask a few questions a minute, for an hour at the most."""

import asyncio
import itertools
from collections.abc import Iterator

import structlog

from cli.endpoint import NotRunningError, local_endpoint
from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError
from cluster.key_order import KeyOrder
from inventory.paths import StatePaths

ASKERS = {"class-7b": ("qwen3-14b", "qwen3-4b"), "household": ("qwen3-235b-a22b", "qwen3-14b")}
PAUSE_S = 12.0  # of each, between an answer and the next question
LASTS_S = 3600.0
TURNS = 4  # of a conversation, before another one begins
ANSWER_TOKENS = 96
TRY_AGAIN_S = 1.0
_OPENING = "Simulated traffic of the demo, conversation {number}. Tell me about topic {number}. " * 8

log = structlog.get_logger("potluck.demo")


async def ask_now_and_then(paths: StatePaths) -> None:
    """Until cancelled, or an hour has passed. It needs no answer: what fails is asked again later."""
    try:
        async with asyncio.timeout(LASTS_S), asyncio.TaskGroup() as tasks:
            for number, (name, models) in enumerate(ASKERS.items()):
                tasks.create_task(_ask(paths, name, models, PAUSE_S * number / len(ASKERS)))
    except TimeoutError:
        log.info("demo_traffic_ends", after_s=LASTS_S)


async def _ask(paths: StatePaths, name: str, models: tuple[str, ...], first_pause_s: float) -> None:
    import httpx2

    key = await _made_key(paths, name)
    await asyncio.sleep(first_pause_s)
    async with httpx2.AsyncClient(trust_env=False, timeout=120.0) as client:
        for model, messages in questions(models):
            body = {"model": model, "messages": messages, "max_tokens": ANSWER_TOKENS, "stream": True}
            try:
                endpoint = local_endpoint(paths)
                headers = {"authorization": f"Bearer {key}"}
                await client.post(f"{endpoint.base_url}/chat/completions", json=body, headers=headers)
            except (httpx2.HTTPError, NotRunningError) as error:
                log.info("demo_question_failed", name=name, error=type(error).__name__)
            await asyncio.sleep(PAUSE_S)


def questions(models: tuple[str, ...]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Conversations that grow, so that prefixes come again."""
    for number in itertools.count(1):
        messages: list[dict[str, str]] = []
        for turn in range(1, TURNS + 1):
            said = _OPENING.format(number=number) if turn == 1 else f"And then? (turn {turn})"
            messages = [*messages, {"role": "user", "content": said}]
            yield models[(number - 1) % len(models)], messages
            messages = [*messages, {"role": "assistant", "content": f"Answer {turn}."}]


async def _made_key(paths: StatePaths, name: str) -> str:
    """Once the head answers. A key of this name that an earlier supervisor made is replaced: nobody can show it."""
    admin = AdminClient(paths.head_socket)
    while True:
        try:
            return (await admin.create_key(KeyOrder(name=name, group="simulated"))).key
        except AdminRefusedError as error:
            if error.code == "name_taken":
                return (await admin.rotate_key(name)).key
            log.info("demo_key_refused", name=name, code=error.code)
        except HeadUnreachableError:
            pass  # it starts beside this
        await asyncio.sleep(TRY_AGAIN_S)
