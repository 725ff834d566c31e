"""The encoder's server with a library that keeps a record: shapes, limits, batches, and clients that leave."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engines.encoder import EncoderAdapter
from nodes.engines.encoder_server import CALL_TEXTS, MOST_TEXTS, Batcher, RefusedError, Work, application

KEY = "ple_test"
CONTEXT = 64
HEADERS = {"authorization": f"Bearer {KEY}"}
DOCUMENT = "/v1/embeddings"


@dataclass
class Library:
    """A token a character. A vector says how long its text is, and which letter it begins with."""

    dimensions: int = 4
    longest: int | None = None
    call_characters: int = 64_000
    calls: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    broken: bool = False

    def read(self, text: str) -> tuple[int, list[int]]:
        return len(text), [ord(letter) for letter in text]

    def vectors(self, texts: Sequence[list[int]]) -> Any:
        self.gate.wait(10)
        self.calls.append(len(texts))
        if self.broken:
            raise MemoryError("no room for an array")
        return np.array([[len(text), text[0], 0.1, -1.0] for text in texts], dtype=np.float32)


@asynccontextmanager
async def served(library: Library) -> AsyncIterator[httpx2.AsyncClient]:
    """Its application in this loop, begun and ended as a server would."""
    app = application("vectors", library, CONTEXT, KEY)
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(_lifespan(app, inbox, outbox))
    inbox.put_nowait({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://x", headers=HEADERS, timeout=20
    ) as client:
        yield client
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await task


async def _lifespan(app: Any, inbox: "asyncio.Queue[Any]", outbox: "asyncio.Queue[Any]") -> None:
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbox.get, outbox.put)


def open_library() -> Library:
    library = Library()
    library.gate.set()
    return library


def asked(texts: object, **fields: object) -> dict[str, object]:
    return {"model": "vectors", "input": texts, **fields}


async def test_one_text_or_several_as_floats_or_as_bytes() -> None:
    async with served(open_library()) as client:
        one = (await client.post(DOCUMENT, json=asked("abc"))).json()
        two = (await client.post(DOCUMENT, json=asked(["abc", "z"], encoding_format="base64", dimensions=4))).json()

    assert one["data"] == [{"object": "embedding", "index": 0, "embedding": [3.0, 97.0, 0.1, -1.0]}]
    assert (one["model"], one["usage"]) == ("vectors", {"prompt_tokens": 3, "total_tokens": 3})
    assert [row["index"] for row in two["data"]] == [0, 1]
    assert np.frombuffer(base64.b64decode(two["data"][1]["embedding"]), "<f4")[:2].tolist() == [1.0, 122.0]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (asked([]), 400, "has 0 texts"),
        (asked(["a"] * (MOST_TEXTS + 1)), 400, "from 1 to 2048"),
        (asked(["a", ""]), 400, "text 1 of `input` is empty"),
        (asked([1, 2]), 400, "no tokens"),
        (asked([[1, 2], [3]]), 400, "no tokens"),
        (asked("a" * (CONTEXT + 1)), 400, "maximum context length is 64 tokens"),
        (asked("a" * 5000), 400, "maximum context length is 64 tokens"),
        (asked("a", dimensions=3), 400, "4 dimensions"),
        (asked("a", encoding_format="hex"), 400, "encoding_format"),
        ({"input": "a"}, 400, "model"),
        ({"model": "gpt-5", "input": "a"}, 404, "does not exist"),
    ],
)
async def test_what_it_refuses_has_openais_shape(body: object, status: int, told: str) -> None:
    async with served(open_library()) as client:
        answer = await client.post(DOCUMENT, json=body)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert told in answer.json()["error"]["message"]


async def test_only_its_health_is_open_to_those_without_the_key() -> None:
    async with served(open_library()) as client:
        listed = (await client.get("/v1/models")).json()
        del client.headers["authorization"]
        answers = [await client.get(path) for path in ("/health", "/v1/models", "/metrics", "/nowhere")]
        answers.append(await client.post(DOCUMENT, json=asked("a")))

    assert [answer.status_code for answer in answers] == [200, 401, 401, 401, 401]
    assert [model["id"] for model in listed["data"]] == ["vectors"]


async def test_what_it_does_not_serve_is_refused_in_the_same_shape() -> None:
    async with served(open_library()) as client:
        answers = [await client.get("/nowhere"), await client.get(DOCUMENT)]

    assert [answer.status_code for answer in answers] == [404, 405]
    assert all(answer.json()["error"]["message"] for answer in answers)


async def test_requests_that_wait_together_are_encoded_in_one_call() -> None:
    library = Library()
    async with served(library) as client:
        first = asyncio.create_task(client.post(DOCUMENT, json=asked("first")))
        await _until_load(client, running=1, waiting=0)
        others = [asyncio.create_task(client.post(DOCUMENT, json=asked(["x"] * 2))) for _ in range(10)]
        await _until_load(client, running=1, waiting=10)
        library.gate.set()
        answers = await asyncio.gather(first, *others)

    assert [answer.status_code for answer in answers] == [200] * 11
    assert library.calls == [1, 20]


async def test_a_large_request_lets_small_ones_in_between() -> None:
    library = open_library()
    batcher = Batcher(library, CONTEXT)
    large, small = batcher.put(["a"] * 1000), batcher.put(["b"])
    task = asyncio.create_task(batcher.run())
    await small.done
    calls_before = len(library.calls)
    await large.done
    task.cancel()

    assert calls_before < len(library.calls) / 2
    assert max(library.calls) <= CALL_TEXTS
    assert sum(map(len, large.vectors)) == 1000


async def test_a_text_that_is_too_long_fails_its_own_request_only() -> None:
    batcher = Batcher(open_library(), CONTEXT)
    works = [batcher.put(["fine"]), batcher.put(["a", "b" * (CONTEXT + 1)]), batcher.put(["fine too"])]
    task = asyncio.create_task(batcher.run())
    outcomes = await asyncio.gather(*(work.done for work in works), return_exceptions=True)
    task.cancel()

    assert [type(outcome) for outcome in outcomes] == [type(None), RefusedError, type(None)]


async def test_a_library_that_fails_is_a_500_for_those_it_had_and_goes_on() -> None:
    library = open_library()
    library.broken = True
    async with served(library) as client:
        failed = await client.post(DOCUMENT, json=asked("a"))
        library.broken = False
        again = await client.post(DOCUMENT, json=asked("a"))

    assert (failed.status_code, failed.json()["error"]["type"]) == (500, "server_error")
    assert again.status_code == 200


async def test_what_a_client_left_behind_is_not_encoded() -> None:
    library = Library()
    async with served(library) as client:
        first = asyncio.create_task(client.post(DOCUMENT, json=asked("first")))
        await _until_load(client, running=1, waiting=0)
        leaver = asyncio.create_task(client.post(DOCUMENT, json=asked(["gone"] * 500)))
        await _until_load(client, running=1, waiting=1)
        leaver.cancel()
        await asyncio.wait([leaver])
        await _until_load(client, running=1, waiting=0)
        library.gate.set()
        await first

    assert library.calls == [1]


@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=70), min_size=1, max_size=90), min_size=1, max_size=6))
def test_however_requests_are_cut_into_calls_each_gets_its_own_vectors_in_order(asked: list[list[str]]) -> None:
    async def encode() -> list[Work]:
        batcher = Batcher(open_library(), 70)
        works = [batcher.put(texts) for texts in asked]
        task = asyncio.create_task(batcher.run())
        await asyncio.gather(*(work.done for work in works))
        task.cancel()
        return works

    for work in asyncio.run(encode()):
        rows = [row for part in work.vectors for row in part]
        assert [(int(row[0]), chr(int(row[1]))) for row in rows] == [(len(text), text[0]) for text in work.texts]
        assert work.tokens == sum(map(len, work.texts))


async def _until_load(client: httpx2.AsyncClient, running: int, waiting: int) -> None:
    async with asyncio.timeout(10):
        while True:
            load = EncoderAdapter().parse_load((await client.get("/metrics")).text)
            if (load.running, load.waiting) == (running, waiting):
                return
            await asyncio.sleep(0.005)
