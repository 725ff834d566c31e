"""Requests that wait for a search in documents, and searches that fail: nobody is kept waiting for nothing."""

import asyncio
import json
from pathlib import Path

import openai
import pytest

from cluster.limits import Limits
from router.asking_first import Errand
from router.errors import stopping
from router.file_search import FileSearch
from support.asked_documents import (
    BINS,
    CHAT,
    OWNER,
    QUESTION,
    USER,
    asked_by,
    chat,
    hold,
    limit,
    with_documents,
)
from support.engines import FaultEngine
from support.gateway import MODEL
from support.nodes import until

# Searches that fail


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_store_that_is_not_there_is_an_error_that_names_the_field(
    engine: FaultEngine, tmp_path: Path, path: str, streamed: bool
) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        tool = {"type": "file_search", "vector_store_ids": ["vs_none"]}
        body = {"model": MODEL, "stream": streamed, "tools": [tool]}
        body |= {"input": QUESTION} if path == "/v1/responses" else {"messages": [USER]}
        answer = await asked_by(asked, body, path)
        await asked.running.until_idle()
        (record,) = asked.running.finished()

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        404, "vector_store_not_found", "tools[0].vector_store_ids"
    )  # fmt: skip
    assert "vs_none" in error["message"]
    assert (record.status, record.outcome, record.attempts) == (404, "client_error", 0)
    assert engine.asked() == []


async def test_a_filter_that_cannot_be_is_the_clients_error(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        answer = await asked_by(asked, CHAT | {"tools": [asked.tool | {"filters": {"type": "near", "key": "x"}}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_filter")


async def test_a_gateway_without_documents_says_so(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        asked.running.gateway.dispatcher.knowledge = None
        engine.script({"content": "Hm."})
        refused = await asked_by(asked, CHAT | {"tools": [asked.tool]})
        unwilling = await asked_by(asked, CHAT | {"tools": [asked.tool], "tool_choice": "none"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "documents_off")
    assert unwilling.status_code == 200


async def test_without_vectors_a_named_store_is_an_error_and_a_usual_one_is_done_without(
    engine: FaultEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        asked.encoder.away = True
        engine.script({"content": "Hm."})
        named = await asked_by(asked, CHAT | {"tools": [asked.tool]})
        await asked.usually()
        usual = await asked_by(asked, CHAT)
        sent = [one["messages"] for one in engine.asked()]

    assert (named.status_code, named.json()["error"]["code"]) == (503, "no_vectors")
    assert int(named.headers["retry-after"]) > 0
    assert usual.status_code == 200
    assert usual.headers["x-potluck-documents"] == "not searched (no_vectors)"
    assert sent == [[USER]]
    said = caplog.text + capsys.readouterr().out
    assert "documents_not_searched" in said
    assert asked.store_id in said
    assert QUESTION not in said


async def test_a_usual_store_that_takes_too_long_is_done_without(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        asked.encoder.may_answer.clear()
        wanted = asked.running.gateway.dispatcher
        ask = FileSearch((asked.store_id,)).ask(QUESTION, 500, 0.0)
        assert wanted.knowledge is not None
        errand = Errand(wanted.knowledge, OWNER, ask, None, patience_s=0.01)
        with pytest.raises(Exception, match=r"within 0\.01 s"):
            await errand.run()


# While it searches


async def test_a_client_that_leaves_ends_the_search_and_no_engine_is_asked(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        hold(asked)
        asking = asyncio.create_task(asked_by(asked, CHAT | {"tools": [asked.tool], "stream": True}))
        await asked.encoder.asked.wait()
        asking.cancel()
        await until(lambda: asked.running.finished(), "it is on record")
        await asked.running.until_idle()
        (record,) = asked.running.finished()
        asked.encoder.may_answer.set()

    assert (record.outcome, record.status, record.error_code) == ("cancelled", 499, "client_closed")
    assert engine.asked() == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_gateway_that_stops_waits_for_a_search_and_its_answer(
    engine: FaultEngine, tmp_path: Path, streamed: bool
) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        hold(asked)
        engine.script({"content": "On Tuesday [1]."})
        asking = asyncio.create_task(chat(asked, streamed, tools=[asked.tool]))
        await asked.encoder.asked.wait()
        asked.running.gateway.dispatcher.draining = True
        idle = asyncio.create_task(asked.running.until_idle())
        refused = await asked_by(asked, CHAT)
        assert not idle.done()
        asked.encoder.may_answer.set()
        text, cited, _ = await asking
        await idle

    assert refused.status_code == 503
    assert (text, len(cited)) == ("On Tuesday [1].", 1)


async def test_a_search_that_outlasts_the_drain_ends_with_a_proper_error(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        hold(asked)
        asking = asyncio.create_task(asked_by(asked, CHAT | {"tools": [asked.tool]}))
        await asked.encoder.asked.wait()
        for call in asked.running.gateway.dispatcher.context.live:
            call.abandon(stopping())
        answer = await asking
        await asked.running.until_idle()
        asked.encoder.may_answer.set()

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_stopping")


async def test_the_time_of_a_request_covers_its_search(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS, total_s=0.3) as asked:
        hold(asked)
        late = await asked_by(asked, CHAT | {"tools": [asked.tool]})
        async with asked.running.http() as http:
            headers = {"x-potluck-deadline": "0.05"}
            missed = await http.post("/v1/chat/completions", json=CHAT | {"tools": [asked.tool]}, headers=headers)
        await asked.running.until_idle()
        asked.encoder.may_answer.set()

    assert (late.status_code, late.json()["error"]["code"]) == (504, "request_timeout")
    assert (missed.status_code, missed.json()["error"]["code"]) == (429, "saturated")
    assert "deadline" in missed.json()["error"]["message"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_stream_is_kept_waiting_and_goes_on_where_it_is(
    engine: FaultEngine, tmp_path: Path, fails: bool
) -> None:
    async with with_documents(tmp_path, engine, BINS, reading_s=0.02) as asked, asked.running.http() as http:
        hold(asked)
        engine.script({"content": "On Tuesday [1]."})
        body = CHAT | {"tools": [asked.tool], "stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.aiter_lines()
            assert answer.status_code == 200
            assert (await anext(lines)).startswith(":")
            asked.encoder.away = fails
            asked.encoder.may_answer.set()
            rest = [line async for line in lines if line.startswith("data:")]

    assert rest[-1] == "data: [DONE]"
    if fails:
        assert json.loads(rest[0].removeprefix("data:"))["error"]["code"] == "no_vectors"
    else:
        told = [json.loads(line.removeprefix("data:"))["choices"] for line in rest[:-1]]
        assert "".join(choice[0]["delta"].get("content") or "" for choice in told if choice) == "On Tuesday [1]."
        assert any("annotations" in choice[0]["delta"] for choice in told if choice)


async def test_passages_count_for_the_limits_before_they_are_found(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        limit(asked, Limits(tokens_per_minute=400))
        engine.script({"content": "Hm."}, {"content": "Hm."})
        plain = await asked_by(asked, CHAT | {"max_tokens": 32})
        searched = await asked_by(asked, CHAT | {"max_tokens": 32, "tools": [asked.tool]})
        await asked.usually()
        usual = await asked_by(asked, CHAT | {"max_tokens": 32})

    assert plain.status_code == 200
    assert (usual.status_code, usual.headers["x-potluck-documents"]) == (200, "not searched (rate_limit_exceeded)")
    assert (searched.status_code, searched.json()["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_a_search_has_one_place_among_those_under_way_and_gives_it_back(
    engine: FaultEngine, tmp_path: Path
) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        limit(asked, Limits(concurrency=1))
        engine.script({"content": "One [1]."}, {"content": "Two [1]."})
        hold(asked)
        first = asyncio.create_task(asked_by(asked, CHAT | {"tools": [asked.tool]}))
        await asked.encoder.asked.wait()
        second = await asked_by(asked, CHAT)
        asked.encoder.may_answer.set()
        answers = [await first, await asked_by(asked, CHAT | {"tools": [asked.tool]})]

    assert second.status_code == 429
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_an_unknown_store_is_a_typed_error_for_the_openai_client(engine: FaultEngine, tmp_path: Path) -> None:
    async with with_documents(tmp_path, engine, BINS) as asked:
        with pytest.raises(openai.NotFoundError, match="vs_none"):
            await chat(asked, True, tools=[{"type": "file_search", "vector_store_ids": ["vs_none"]}])
