"""The openai client and its batches, through the real gateway: lines run while nobody asks, and none is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch

from cluster.limits import Limits
from router.batches.store import BatchStore
from support.engines import FaultEngine, running_fault_engine
from support.gateway import MODEL, Running, access_with, key_record, running_gateway, served_by
from support.leaks import CANARY
from support.nodes import until

OTHER_KEY = "pl_other_" + "o" * 43
FINAL = ("completed", "failed", "expired", "cancelled")


def chat(custom_id: str, **body: object) -> dict[str, object]:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 4, **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked}


def packed(lines: Iterable[object]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@asynccontextmanager
async def gateway(root: Path, *engine_options: str, slots: int = 4) -> AsyncIterator[tuple[Running, FaultEngine]]:
    with running_fault_engine(root / "engine", "llamacpp", *engine_options) as engine:
        async with running_gateway(root, [served_by(engine, slots)]) as running:
            yield running, engine


async def started(client: openai.AsyncOpenAI, content: bytes, endpoint: Any = "/v1/chat/completions") -> Batch:
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


async def ended(client: openai.AsyncOpenAI, batch: Batch) -> Batch:
    async with asyncio.timeout(60):
        while (batch := await client.batches.retrieve(batch.id)).status not in FINAL:  # noqa: ASYNC110 - it is a client
            await asyncio.sleep(0.05)
    return batch


async def lines_of(client: openai.AsyncOpenAI, file_id: str | None) -> dict[str, Any]:
    """By their names, each of which must be there once."""
    if file_id is None:
        return {}
    lines = [json.loads(line) for line in (await client.files.content(file_id)).text.splitlines()]
    found = {line["custom_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


async def test_each_line_is_answered_once_and_what_fails_is_told_apart(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (running, _), running.openai() as client:
        wrong = [chat("no-model", model="absent"), chat("streamed", stream=True), chat("bad", max_tokens=-1)]
        lines = [*(chat(f"line {number}") for number in range(20)), *wrong]
        begun = await started(client, packed(lines))
        batch = await ended(client, begun)
        done, failed = await lines_of(client, batch.output_file_id), await lines_of(client, batch.error_file_id)
        records = running.finished()

    assert (begun.object, begun.endpoint, begun.completion_window) == ("batch", "/v1/chat/completions", "24h")
    assert (batch.status, batch.request_counts) == (
        "completed", openai.types.BatchRequestCounts(total=23, completed=20, failed=3)
    )  # fmt: skip
    assert list(done) == [f"line {number}" for number in range(20)]
    assert all(line["response"]["body"]["choices"][0]["message"]["content"] for line in done.values())
    assert {line["response"]["status_code"] for line in done.values()} == {200}
    statuses = {name: line["response"]["status_code"] for name, line in failed.items()}
    assert statuses == {"no-model": 404, "streamed": 400, "bad": 400}
    assert failed["no-model"]["response"]["body"]["error"]["code"] == "model_not_found"
    assert {record.batch_id for record in records} == {batch.id}
    assert [record.outcome for record in records].count("ok") == 20


async def test_a_file_that_is_no_batch_fails_with_each_of_its_faults(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (running, _), running.openai() as client:
        lines = [chat("one"), chat("one"), chat("two") | {"method": "GET"}, chat("three") | {"url": "/v1/embeddings"}]
        batch = await ended(client, await started(client, packed(lines) + b"no json\n"))
        empty = await ended(client, await started(client, b"\n"))

    assert batch.status == empty.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(fault.code, fault.line) for fault in batch.errors.data] == [
        ("duplicate_custom_id", 2), ("invalid_method", 3), ("invalid_url", 4), ("invalid_json_line", 5)
    ]  # fmt: skip
    assert empty.errors is not None
    assert [fault.code for fault in empty.errors.data or ()] == ["empty_file"]


async def test_a_request_finds_no_line_in_its_way(tmp_path: Path) -> None:
    async with gateway(tmp_path, "--tokens-per-s", "50", slots=2) as (running, engine), running.openai() as client:
        batch = await started(client, packed(chat(f"{number}", max_tokens=60) for number in range(3)))
        guests = running.gateway.dispatcher.context.guests
        await until(lambda: sum(guests.running.values()) == 2, "both slots have a line")
        await until(lambda: engine.state()["active"] == 2, "the engine works on them")
        said = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": CANARY}], max_tokens=30, stream=True
        )
        async for _ in said:
            assert not guests.running, "nothing runs beside a request"
        await until(lambda: engine.state()["active"] == 0, "the engine has dropped the lines")
        cancelled = engine.state()["cancelled"]
        end = await ended(client, batch)
        done = await lines_of(client, end.output_file_id)
        made_way = [record for record in running.finished() if record.error_code == "made_way"]

    assert cancelled == 2
    assert [(record.outcome, record.batch_id) for record in made_way] == [("cancelled", batch.id)] * 2
    assert sorted(done) == ["0", "1", "2"]


async def test_a_cancelled_batch_keeps_what_was_answered(tmp_path: Path) -> None:
    async with gateway(tmp_path, "--tokens-per-s", "100", slots=1) as (running, _), running.openai() as client:
        batch = await started(client, packed(chat(f"{number}", max_tokens=20) for number in range(50)))
        async with asyncio.timeout(60):
            while not (now := (await client.batches.retrieve(batch.id)).request_counts) or now.completed < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await client.batches.cancel(batch.id)).status in ("cancelling", "cancelled")
        end = await ended(client, batch)
        again = await client.batches.cancel(batch.id)
        done, left = await lines_of(client, end.output_file_id), await lines_of(client, end.error_file_id)

    assert end.status == again.status == "cancelled"
    assert end.request_counts is not None
    assert 2 <= len(done) == end.request_counts.completed < 50
    assert len(done) + len(left) == 50
    assert {line["error"]["code"] for line in left.values()} == {"batch_cancelled"}


async def test_files_and_batches_are_their_keys_own(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (running, _), running.openai() as client:
        keys = (key_record(), key_record(OTHER_KEY))
        running.view.install_access(access_with(running.paths, keys, sequence=2))
        stranger = client.with_options(api_key=OTHER_KEY)
        file = await client.files.create(file=("in.jsonl", packed([chat("one")])), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"for": "a test"}
        )
        with pytest.raises(openai.NotFoundError):
            await stranger.files.content(file.id)
        with pytest.raises(openai.NotFoundError):
            await stranger.batches.cancel(batch.id)
        with pytest.raises(openai.NotFoundError, match="no file"):
            await stranger.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        theirs = [item async for item in stranger.files.list()], [item async for item in stranger.batches.list()]
        end = await ended(client, batch)
        listed = [item.id async for item in client.batches.list(limit=1)]
        files = {item.purpose: item async for item in client.files.list()}
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file.id)

    assert theirs == ([], [])
    assert listed == [batch.id]
    assert end.metadata == {"for": "a test"}
    assert (file.bytes, file.filename, file.purpose) == (len(packed([chat("one")])), "in.jsonl", "batch")
    assert files["batch_output"].id == end.output_file_id


async def test_a_key_that_is_gone_ends_its_batches(tmp_path: Path) -> None:
    async with gateway(tmp_path, "--tokens-per-s", "100", slots=1) as (running, _), running.openai() as client:
        keys = (key_record(), key_record(OTHER_KEY))
        running.view.install_access(access_with(running.paths, keys, sequence=2))
        await started(client, packed(chat(f"{number}", max_tokens=20) for number in range(50)))
        await until(lambda: bool(running.gateway.dispatcher.context.guests), "a line runs")
        running.view.install_access(access_with(running.paths, keys[1:], sequence=3))
        store = BatchStore(running.paths)
        await until(lambda: store.batches()[0].status == "cancelled", "the batch has ended")
        store.close()


async def test_lines_for_vectors_are_answered_too_and_what_was_embedded_is_not_asked_again(tmp_path: Path) -> None:
    lines = [
        {"custom_id": f"{number}", "method": "POST", "url": "/v1/embeddings", "body": {"model": MODEL, "input": texts}}
        for number, texts in enumerate(["one", ["two", "three"], "one"])
    ]
    with running_fault_engine(tmp_path / "engine", "encoder", "--only-reads") as engine:
        async with (
            running_gateway(tmp_path, [served_by(engine)], abilities={MODEL: frozenset({"embed"})}) as running,
            running.openai() as client,
        ):
            batch = await ended(client, await started(client, packed(lines), "/v1/embeddings"))
            done = await lines_of(client, batch.output_file_id)

    assert [len(done[name]["response"]["body"]["data"]) for name in ("0", "1", "2")] == [1, 2, 1]
    assert done["0"]["response"]["body"]["data"] == done["2"]["response"]["body"]["data"]


async def test_a_batch_waits_for_its_keys_limits(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (running, _), running.openai() as client:
        limited = replace(key_record(), limits=Limits(concurrency=1))
        running.view.install_access(access_with(running.paths, [limited], sequence=2))
        batch = await ended(client, await started(client, packed(chat(f"{number}") for number in range(3))))
        refused = [record for record in running.finished() if record.outcome == "rate_limited"]

    assert (batch.status, batch.request_counts and batch.request_counts.completed) == ("completed", 3)
    assert refused, "several began at once"


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"files": {"file": ("in.jsonl", b"{}")}, "data": {"purpose": "fine-tune"}}, 400, "purpose"),
        ({"files": {"file": ("in.jsonl", b"{}")}}, 400, "purpose"),
        ({"files": {"other": ("in.jsonl", b"{}")}, "data": {"purpose": "batch"}}, 400, "file"),
        ({"data": {"purpose": "batch"}}, 400, "multipart"),
        ({"files": {"file": ("in.jsonl", b"{}")}, "data": {"purpose": "batch", "colour": "red"}}, 400, "colour"),
        ({"content": b"--x\r\nno", "headers": {"content-type": "multipart/form-data"}}, 400, "form"),
        ({"content": b"no", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, "form"),
    ],
)
async def test_a_form_that_is_none_is_refused_and_leaves_nothing(
    tmp_path: Path, form: dict[str, Any], status: int, said: str
) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        answer = await client.post("/v1/files", **form)
        left = list(running.paths.batch_files.iterdir())

    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert left == []
