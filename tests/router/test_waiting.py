"""Requests for a model that sleeps, starts or makes room: they wait, are told so, and go on in order of arrival."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx2
import openai
import pytest

from cluster.snapshot import ModelState
from nodes.snapshot import EngineSnapshot
from router.errors import stopping
from router.waiting_caps import WaitingCaps
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.upstream import DONE, Asked, answer_kindly, scripted_upstream

ASK = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**ASK, "stream": True}
CHAT = "/v1/chat/completions"


def publish(
    running: Running,
    state: ModelState,
    engines: Sequence[EngineSnapshot] = (),
    reason: str = "",
    eta_s: float | None = None,
) -> None:
    """The head says how the model stands."""
    sequence = running.view.cluster.sequence + 1 if running.view.cluster else 1
    snapshot = cluster_of(engines, sequence=sequence)
    model = replace(snapshot.models[0], state=state, reason=reason, eta_s=eta_s, keep_alive_s=600.0)
    running.view.install_cluster(replace(snapshot, models=(model,)))


async def test_a_request_for_a_sleeping_model_is_answered_once_it_serves(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        publish(running, "asleep")
        async with running.openai() as client:
            asking = asyncio.create_task(client.chat.completions.create(**ASK))  # type: ignore[call-overload]  # JSON
            await running.until_waiting(1)
            publish(running, "starting", [engine_at(upstream.address, state="starting")], eta_s=3.0)
            publish(running, "ready", [engine_at(upstream.address)])
            answer = await asking

    assert answer.choices[0].message.content == "Hello"
    assert running.finished()[0].outcome == "ok"


async def test_a_stream_is_told_at_once_and_again_how_things_stand_and_clients_do_not_notice(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        publish(running, "asleep", reason="waits for its turn after `other`", eta_s=40.0)
        async with running.http() as client, client.stream("POST", CHAT, json=STREAM) as answer:
            lines = answer.aiter_lines()
            first = json.loads((await anext(lines)).removeprefix(": keepalive "))
            publish(running, "starting", eta_s=3.0)
            told = [line async for line in _until(lines, '"starting"')]
            publish(running, "ready", [engine_at(upstream.address)])
            rest = "\n".join([line async for line in lines])

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (first["model"], first["state"], first["waiting"]) == ("toy", "asleep", 1)
    assert first["reason"] == "waits for its turn after `other`"
    assert 39.0 < first["eta_s"] <= 40.0
    assert json.loads(told[-1].removeprefix(": keepalive "))["eta_s"] <= 3.0
    assert rest.rstrip().endswith(DONE.decode().strip())

    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path / "again", []) as running:
        publish(running, "asleep")
        async with running.openai() as openai_client:
            stream = await openai_client.chat.completions.create(**STREAM)  # type: ignore[call-overload]  # JSON
            publish(running, "ready", [engine_at(upstream.address)])
            text = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]
    assert "".join(piece or "" for piece in text) == "Hello"


async def _until(lines: AsyncIterator[str], mark: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if mark in line:
            return


async def test_those_that_wait_go_on_in_order_of_arrival(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        publish(running, "starting")
        async with running.http() as client:
            asking = []
            for number in range(6):
                body = {**ASK, "messages": [{"role": "user", "content": f"number {number}"}], "stream": number % 2 == 0}
                asking.append(asyncio.create_task(client.post(CHAT, json=body)))
                await running.until_waiting(number + 1)
            publish(running, "ready", [engine_at(upstream.address)])
            answers = await asyncio.gather(*asking)

    assert [answer.status_code for answer in answers] == [200] * 6
    assert running.in_flight == 0
    assert sorted(_numbers(upstream.asked)) == list(range(6))


def _numbers(asked: Sequence[Asked]) -> list[int]:
    return [int(json.loads(one.body)["messages"][0]["content"].split()[1]) for one in asked]


@pytest.mark.parametrize("body", [ASK, STREAM])
async def test_a_client_that_leaves_counts_no_more_at_once(tmp_path: Path, body: dict[str, object]) -> None:
    async with running_gateway(tmp_path, []) as running:
        publish(running, "asleep")
        async with running.http() as client:
            asking = asyncio.create_task(_read(client, body))
            await running.until_waiting(1)
            asking.cancel()
        await running.until_waiting(0)
        await running.until_idle()

    assert [record.outcome for record in running.finished()] == ["cancelled"]


async def _read(client: httpx2.AsyncClient, body: dict[str, object]) -> bytes:
    return (await client.post(CHAT, json=body)).content


async def test_a_whole_answer_is_waited_for_so_long_and_then_its_client_learns_when_to_come_back(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, [], wait_s=0.1) as running:
        publish(running, "starting", reason="loading the model", eta_s=41.2)
        async with running.http() as client:
            answer = await client.post(CHAT, json=ASK)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] in ("41", "42")
    error = answer.json()["error"]
    assert error["code"] == "model_not_ready"
    assert error["message"] == "`toy` is not ready after 0.1 s (starting: loading the model); try again"


async def test_a_model_that_fails_for_good_tells_why_in_the_clients_own_dialect(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        publish(running, "starting")
        async with running.http() as client:
            asking = [asyncio.create_task(client.post(CHAT, json=body)) for body in (ASK, STREAM)]
            await running.until_waiting(2)
            publish(running, "failed", reason="died 5 times in 10 min")
            whole, stream = await asyncio.gather(*asking)

    reason = "`toy` cannot be served (failed: died 5 times in 10 min)"
    assert (whole.status_code, whole.json()["error"]["message"]) == (503, reason)
    *_, event, done, _ = stream.text.split("\n\n")
    assert json.loads(event.removeprefix("data: "))["error"]["message"] == reason
    assert done == "data: [DONE]"


async def test_a_failure_that_passes_is_waited_out(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        publish(running, "starting")
        async with running.http() as client:
            asking = asyncio.create_task(client.post(CHAT, json=ASK))
            await running.until_waiting(1)
            publish(running, "failed", reason="exited with 1; starts again in 1 s")
            publish(running, "ready", [engine_at(upstream.address)])
            answer = await asking

    assert answer.status_code == 200


async def test_waiting_counts_against_the_time_of_the_whole_request(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [], total_s=0.2) as running:
        publish(running, "asleep")
        async with running.http() as client:
            answer = await client.post(CHAT, json=STREAM)

    assert '"code":"request_timeout"' in answer.text
    assert answer.text.rstrip().endswith(DONE.decode().strip())


async def test_only_so_many_wait_for_one_model(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [], waiting=WaitingCaps(of_model=2)) as running:
        publish(running, "starting", eta_s=7.0)
        async with running.http() as client:
            asking = [asyncio.create_task(client.post(CHAT, json=STREAM)) for _ in range(2)]
            await running.until_waiting(2)
            refused = await client.post(CHAT, json=STREAM)
            for one in asking:
                one.cancel()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
    assert "`toy` cannot take this request: 2 requests wait for it already" in refused.json()["error"]["message"]


@pytest.mark.parametrize("state", ["asleep", "yielding"])
async def test_an_engine_whose_model_makes_room_gets_no_new_requests(tmp_path: Path, state: ModelState) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        publish(running, state, [engine_at(upstream.address)])
        async with running.http() as client:
            asking = asyncio.create_task(client.post(CHAT, json=ASK))
            await running.until_waiting(1)
            assert upstream.asked == []
            publish(running, "ready", [engine_at(upstream.address)])
            assert (await asking).status_code == 200


async def test_an_engine_that_is_gone_just_as_it_is_asked_costs_no_request_if_its_model_comes_back(
    tmp_path: Path,
) -> None:
    async def die(asked: Asked, writer: asyncio.StreamWriter) -> None:
        publish(running, "asleep")
        writer.close()

    async with (
        scripted_upstream(die) as leaving,
        scripted_upstream(answer_kindly) as back,
        running_gateway(tmp_path, [engine_at(leaving.address)]) as running,
        running.http() as client,
    ):
        asking = asyncio.create_task(client.post(CHAT, json=ASK))
        await running.until_waiting(1)
        publish(running, "ready", [replace(engine_at(back.address), generation=2)])
        assert (await asking).status_code == 200


async def test_a_prompt_that_can_never_fit_is_refused_before_its_model_is_woken(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        publish(running, "asleep")
        body = {**ASK, "messages": [{"role": "user", "content": "x" * 40_000}]}
        answer = await client.post(CHAT, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_a_gateway_that_stops_ends_those_that_wait_properly(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        publish(running, "asleep")
        asking = asyncio.create_task(client.post(CHAT, json=STREAM))
        await running.until_waiting(1)
        for call in running.gateway.dispatcher.context.live:
            call.abandon(stopping())
        assert '"code":"gateway_stopping"' in (await asking).text
        assert running.waiting == 0


async def test_sleeping_models_are_listed_make_the_gateway_ready_and_waits_are_measured(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, "asleep")
        listed = (await client.get("/v1/models")).json()["data"]
        ready = await client.get("/readyz")
        asking = asyncio.create_task(client.post(CHAT, json=ASK))
        await running.until_waiting(1)
        during = (await client.get("/metrics")).text
        publish(running, "ready", [replace(engine_at(upstream.address), ready_after_s=2.5)])
        await asking
        after = (await client.get("/metrics")).text

    assert [(model["id"], model["state"], model["nodes"]) for model in listed] == [("toy", "asleep", [])]
    assert ready.status_code == 200
    assert 'potluck_requests_waiting{model="toy"} 1.0' in during
    assert 'potluck_model_wait_seconds_count{model="toy"} 1.0' in after
    assert 'potluck_engine_load_seconds{engine="toy-1",model="toy",node="here"} 2.5' in after
    assert 'potluck_model_state{model="toy",state="ready"} 1.0' in after


async def test_a_model_that_failed_refuses_newcomers_at_once(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.openai() as client:
        publish(running, "failed", reason="the GGUF header is damaged")
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(**ASK)  # type: ignore[call-overload]  # JSON

    assert "the GGUF header is damaged" in caught.value.message


async def test_who_names_a_deadline_waits_for_a_model_no_longer_and_not_in_vain(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [], wait_s=0.1) as running, running.http() as client:
        publish(running, "starting", reason="loading the model", eta_s=41.2)
        began_s = monotonic()
        hopeless = await client.post(CHAT, json=STREAM, headers={"x-potluck-deadline": "30"})
        patient = asyncio.create_task(client.post(CHAT, json=ASK, headers={"x-potluck-deadline": "60"}))
        await running.until_waiting(1)
        hurried = await client.post(CHAT, json=ASK, headers={"x-potluck-deadline": "0.5"})
        assert running.waiting == 1  # beyond the time of those that name none
        patient.cancel()

    assert monotonic() - began_s < 20
    assert '"code":"model_not_ready"' in hopeless.text
    assert (hurried.status_code, hurried.headers["retry-after"] in ("41", "42")) == (503, True)
    assert "`toy` is not ready by its deadline" in hurried.json()["error"]["message"]


async def test_a_request_that_finds_all_that_may_wait_waiting_elsewhere_is_told_to_come_back(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(
        tmp_path, [engine_at(upstream.address)], models=("toy", "other"), waiting=WaitingCaps(in_all=1)
    ) as running:  # fmt: skip
        snapshot = cluster_of([], models=("toy", "other"), sequence=2)
        models = tuple(replace(view, state="starting") for view in snapshot.models)
        running.view.install_cluster(replace(snapshot, models=models))
        async with running.http() as client:
            waiting = asyncio.create_task(client.post(CHAT, json={**ASK, "model": "other"}))
            await running.until_waiting(1)
            refused = await client.post(CHAT, json=ASK)
            waiting.cancel()

    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert "1 request waits already" in refused.json()["error"]["message"]
