"""The state as a stream: a snapshot, then deltas that make the same state, resumed where it broke off."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from router.dashboard.patch import patched
from router.dashboard.stream import COMMENT, KEPT, MOST_WATCHERS, SILENCE_S, Document, StateStream
from router.errors import ApiError
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.manual_clock import ManualClock
from support.nodes import until

Event = tuple[str, str, dict[str, Any]]


async def events_of(stream: httpx2.Response) -> AsyncIterator[Event]:
    """Id, name and data of each."""
    async for text in _blocks(stream):
        fields = dict(line.split(": ", 1) for line in text)
        yield fields["id"], fields["event"], json.loads(fields["data"])


async def _blocks(stream: httpx2.Response) -> AsyncIterator[list[str]]:
    block: list[str] = []
    async for line in stream.aiter_lines():
        if line:
            block.append(line)
            continue
        if any(one.startswith("data: ") for one in block):
            yield block
        block = []


@asynccontextmanager
async def watching(client: httpx2.AsyncClient, last: str | None = None) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {"last-event-id": last} if last else {}
    async with client.stream("GET", "/api/v1/events", headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        yield events_of(stream)


def change(running: Running, sequence: int, state: str) -> None:
    engine = engine_at(None, state=state)  # type: ignore[arg-type]  # a literal
    running.view.install_cluster(replace(cluster_of([engine], sequence=sequence), taken_at_s=100.0 + sequence))


async def test_deltas_make_the_state_that_is_asked_for_at_once(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, [engine_at(None)]) as running,
        running.http() as client,
        watching(client) as events,
    ):
        _, first, document = await anext(events)
        for sequence, state in ((2, "draining"), (3, "stopping"), (4, "stopped")):
            change(running, sequence, state)
            while document["sequence"] != sequence:
                _, name, delta = await anext(events)
                assert name == "delta"
                document = patched(document, delta)  # type: ignore[assignment]  # of an object an object
        whole = (await client.get("/api/v1/state")).json()

    assert first == "snapshot"
    assert without_live(document) == without_live(whole)
    assert document["engines"]["toy-1"]["state"] == "stopped"
    assert [event["text"] for event in document["events"]][-1] == "toy-1 on here: stopping → stopped: for a test"


def without_live(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("live", "age_s")}


async def test_a_stream_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None)]) as running, running.http() as client:
        async with watching(client) as events:
            last, _, document = await anext(events)
        await until(lambda: running.gateway.dashboard.stage.stream.watchers == 0, "nobody watches")
        change(running, 2, "draining")
        async with watching(client, last) as events:
            number, name, delta = await anext(events)
        epoch, _, before = last.partition(".")

    assert (name, number) == ("delta", f"{epoch}.{int(before) + 1}")
    patch: Any = patched(document, delta)
    assert patch["engines"]["toy-1"]["state"] == "draining"


@pytest.mark.parametrize("last", ["", "x", "1.1", "{epoch}.-1", "{epoch}.99", "{epoch}.", "{epoch}.²"])
async def test_whoever_comes_from_elsewhere_gets_a_snapshot(tmp_path: Path, last: str) -> None:
    stream = StateStream(lambda: {"a": 1}, ManualClock())
    async with aclosing(stream.events(None, lambda: True)) as first:
        await anext(first)
        epoch = (await anext(first)).split(b".")[0].removeprefix(b"id: ").decode()
    async with aclosing(stream.events(last.replace("{epoch}", epoch), lambda: True)) as events:
        await anext(events)
        assert b"event: snapshot" in await anext(events)


async def test_what_is_too_long_ago_is_told_as_a_snapshot() -> None:
    clock, numbers = ManualClock(), count()

    def state() -> Document:
        return {"n": next(numbers), "same": "x"}

    stream = StateStream(state, clock)
    async with aclosing(stream.events(None, lambda: True)) as events:
        await anext(events)
        first = (await anext(events)).split(b"\n")[0].removeprefix(b"id: ").decode()
    for _ in range(KEPT + 2):
        clock.advance(2.0)
        stream.document()
    epoch = first.partition(".")[0]
    async with aclosing(stream.events(first, lambda: True)) as late:
        await anext(late)
        assert b"event: snapshot" in await anext(late)
    async with aclosing(stream.events(f"{epoch}.{KEPT}", lambda: True)) as in_time:
        await anext(in_time)
        assert (await anext(in_time)).endswith(b'event: delta\ndata: {"n":256}\n\n')


async def test_silence_is_broken_by_a_comment() -> None:
    clock = ManualClock()
    stream = StateStream(lambda: {"a": 1}, clock)
    async with aclosing(stream.events(None, lambda: True)) as events:
        await anext(events)
        await anext(events)
        coming = asyncio.ensure_future(anext(events))
        while not coming.done():
            clock.advance(SILENCE_S)
            stream.tell()
            await asyncio.sleep(0.01)
        assert coming.result() == COMMENT


async def test_of_too_many_watchers_the_last_is_sent_away_and_who_leaves_makes_room() -> None:
    stream = StateStream(lambda: {"a": 1}, ManualClock())
    watchers = [stream.events(None, lambda: True) for _ in range(MOST_WATCHERS)]
    for one in watchers:
        await anext(one)
    with pytest.raises(ApiError) as refused:
        await anext(stream.events(None, lambda: True))
    await watchers[0].aclose()
    another = stream.events(None, lambda: True)
    await anext(another)

    assert (refused.value.status, stream.watchers) == (429, MOST_WATCHERS)
    for one in (*watchers, another):
        await one.aclose()
    assert stream.watchers == 0


async def test_a_client_that_leaves_is_watched_no_longer(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None)]) as running, running.http() as client:
        stream = running.gateway.dashboard.stage.stream
        async with watching(client) as events:
            await anext(events)
            assert stream.watchers == 1
        await until(lambda: stream.watchers == 0, "it is gone")


async def test_a_gateway_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(60),
        running_gateway(tmp_path, [engine_at(None)]) as running,
        running.http() as client,
        watching(client) as events,
    ):
        await anext(events)
        running.gateway.dispatcher.draining = True
        names = [name async for _, name, _ in events]

    assert "snapshot" not in names


async def test_nothing_is_made_while_nobody_watches(tmp_path: Path) -> None:
    made = 0

    def state() -> Document:
        nonlocal made
        made += 1
        return {"n": made}

    stream = StateStream(state, ManualClock())
    for _ in range(5):
        stream.tell()

    assert made == 0
