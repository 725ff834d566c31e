"""Checks under load: many at once, who waits, who leaves, and what becomes of a stream whose engine dies."""

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import httpx2

from cli.conformance.dialects import CHAT, Heard
from cli.conformance.server import Server
from cli.conformance.verdicts import Check, Seen, failed, not_tried, passed

PROMPTS = (
    "Count from one to fifty, in words.",
    "Name the months of the year.",
    "Write about the sea.",
    "Explain how bread is made.",
)
CROWD, CROWD_TOKENS, CROWD_S = 48, 48, 15.0
SILENCE_S = 10.0  # after which many clients and proxies give up
GHOSTS, GHOST_TOKENS = 16, 600
PROBE_TOKENS, PROBE_S = 8, 20.0
SEEN_BY = 1.5  # so many times slower is a probe, if a load is to be seen by it
KILL_TOKENS, KILL_AFTER = 400, 3


@dataclass(frozen=True, slots=True)
class Waited:
    """One of a crowd. `silence_s` is the longest before or between bytes."""

    status: int | None
    retry_after: str | None
    comments: int
    silence_s: float


async def crowd(server: Server) -> tuple[Waited, ...]:
    """So many streams at once, as one memory of the server: asked for once."""
    return tuple(await asyncio.gather(*(_one_of_many(server, number) for number in range(CROWD))))


async def _one_of_many(server: Server, number: int) -> Waited:
    body = CHAT.streamed(CHAT.ask(server.facts.model, f"{number}. {PROMPTS[0]}", CROWD_TOKENS))
    status, retry_after, comments, silence_s = None, None, 0, 0.0
    last = monotonic()
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(CROWD_S), server.begun(CHAT.path, body) as response:
            status, retry_after = response.status_code, response.headers.get("retry-after")
            async for piece in response.aiter_raw():
                comments += piece.startswith(b":") or b"\n:" in piece
                silence_s, last = max(silence_s, monotonic() - last), monotonic()
            return Waited(status, retry_after, comments, silence_s)
    return Waited(status, retry_after, comments, max(silence_s, monotonic() - last))


async def retry_after(server: Server) -> Seen:
    turned_away = [one for one in await server.once(crowd) if one.status in (429, 503)]
    if not turned_away:
        return not_tried(f"{CROWD} at once, and none was turned away")
    silent = [one for one in turned_away if not (one.retry_after or "").isdigit()]
    counted = f"{len(turned_away)} of {CROWD} turned away"
    return failed(f"{counted}, {len(silent)} without retry-after") if silent else passed(counted)


async def keepalive(server: Server) -> Seen:
    waited = [one for one in await server.once(crowd) if one.status in (None, 200)]
    longest_s = max((one.silence_s for one in waited), default=0.0)
    comments = sum(one.comments for one in waited)
    evidence = f"{comments} comments to {CROWD} at once; the longest silence was {longest_s:.1f} s"
    if longest_s >= SILENCE_S:
        return failed(evidence)
    return passed(evidence) if comments else not_tried(evidence)


async def no_mixing(server: Server) -> Seen:
    async def said(prompt: str) -> Heard:
        return (await server.stream(CHAT, prompt, 24, seed=1))[1]

    alone = [(await said(prompt)).text for prompt in PROMPTS]
    if len(set(alone)) < len(alone):
        return not_tried("the model says the same to different questions")
    together = await asyncio.gather(*(said(prompt) for prompt in PROMPTS * 2))
    ids = [id_ for heard in together for id_ in heard.ids]
    if any(len(heard.ids) != 1 for heard in together):
        return failed("chunks of several answers in one stream")
    if len(set(ids)) < len(ids):
        return failed("two answers have the same id")
    for heard, own in zip(together, alone * 2, strict=True):
        if heard.text != own and heard.text in alone:
            return failed(f"an answer to another question: {heard.text[:40]!r}")
    return passed(f"{len(together)} at once")


async def leave_stream(server: Server) -> Seen:
    return await _left(server, streamed=True)


async def leave_whole(server: Server) -> Seen:
    return await _left(server, streamed=False)


async def _left(server: Server, streamed: bool) -> Seen:
    """A probe of its own tells how loaded the server is: idle, with ghosts, and once they have left."""
    idle_s = min([await _probe(server, PROBE_S) for _ in range(3)])
    most_s = 4 * idle_s + 1
    async with _ghosts(server, streamed):
        await asyncio.sleep(1.0)
        busy_s = await _probe(server, most_s)
    after_s = min([await _probe(server, most_s) for _ in range(2)])
    evidence = (
        f"a short answer took {idle_s:.2f} s, beside {GHOSTS} others {busy_s:.2f} s, after they left {after_s:.2f} s"
    )
    if busy_s < SEEN_BY * idle_s:
        return not_tried(f"{evidence}: the load cannot be seen")
    return passed(evidence) if after_s < (idle_s + busy_s) / 2 else failed(evidence)


async def _probe(server: Server, most_s: float) -> float:
    """How long a short answer takes. What takes longer than `most_s` is as good as never."""
    began = monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await server.chat("Hello!", PROBE_TOKENS)
    return monotonic() - began


@asynccontextmanager
async def _ghosts(server: Server, streamed: bool) -> AsyncIterator[None]:
    """Long answers that are left with the block: their connections are closed."""

    async def ask(number: int) -> None:
        body = CHAT.ask(server.facts.model, f"{number}. {PROMPTS[number % 4]}", GHOST_TOKENS)
        with contextlib.suppress(httpx2.HTTPError):
            async with server.begun(CHAT.path, CHAT.streamed(body) if streamed else body) as response:
                async for _ in response.aiter_raw():
                    pass

    asked = [asyncio.create_task(ask(number)) for number in range(GHOSTS)]
    try:
        yield
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def engine_lost(server: Server) -> Seen:
    if server.target.kill is None:
        return not_tried("--kill COMMAND ends an engine in the middle of a stream")
    body = CHAT.streamed(CHAT.ask(server.facts.model, PROMPTS[0], KILL_TOKENS))
    content, killed = b"", False
    try:
        async with server.begun(CHAT.path, body) as response:
            async for piece in response.aiter_raw():
                content += piece
                if not killed and content.count(b"data:") >= KILL_AFTER:
                    killed = True
                    await (await asyncio.create_subprocess_exec(*shlex.split(server.target.kill))).wait()
    except httpx2.HTTPError:
        return failed("the connection broke without a word")
    heard = CHAT.listen(content)
    if not killed:
        return not_tried("the answer was over before the command could run")
    if heard.problems:
        return failed(f"ends without its end: {heard.problems[0]}")
    if heard.error is not None:
        return passed(f"an error event, then [DONE]: {heard.error[:80]}")
    return passed(f"went on to its end ({heard.end})") if heard.end else failed("ends as if it were whole")


CHECKS = (
    Check(
        "streams-apart",
        "load",
        "Answers to several questions at once are not mixed.",
        "Whoever mixes them shows one user's words to another.",
        no_mixing,
    ),
    Check(
        "retry-after",
        "load",
        "Who is turned away with 429 or 503 is told when to come back.",
        "Clients back off by it; without it they come back at once, all together.",
        retry_after,
    ),
    Check(
        "keepalive",
        "load",
        "A stream that waits gets comments meanwhile.",
        "Proxies and clients cut a silence, often after 30 or 60 s.",
        keepalive,
    ),
    Check(
        "leave-stream",
        "load",
        "A client that leaves a stream frees the engine.",
        "People press stop and ask again; each stop would cost a whole answer.",
        leave_stream,
    ),
    Check(
        "leave-whole",
        "load",
        "So does one that leaves an answer that is not streamed.",
        "Timeouts of clients would pile up work that nobody waits for.",
        leave_whole,
    ),
    Check(
        "engine-lost",
        "load",
        "A stream whose engine dies goes on elsewhere or ends with an error event.",
        "Most clients take a stream that just ends for a whole answer.",
        engine_lost,
    ),
)
