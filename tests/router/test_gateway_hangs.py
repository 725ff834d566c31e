"""Engines that hang while their /health answers: cut, ejected, and back only with a token as proof."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from cluster.admin_client import AdminClient
from nodes.relay.contract import Address
from nodes.snapshot import EngineId
from router.doubts import DoubtReporter
from router.health import EngineHealth
from support.engines import FaultEngine, running_fault_engine
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.nodes import until
from support.upstream import (
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    Asked,
    answer_kindly,
    framed,
    scripted_upstream,
    token_event,
    whole,
)

BODY = json.dumps({"model": "toy", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
WHOLE = BODY.replace(b"true", b"false")
SOON = (0.5, 0.3)


def health_of(running: Running) -> EngineHealth:
    return running.gateway.dispatcher.context.health


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """The head of a stream at once, as vLLM sends it, and no token ever; its health is fine."""
    writer.write(whole(b"{}") if asked.head.startswith(b"GET") else STREAM_HEAD)
    await asyncio.Event().wait()


async def one_token(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """For a client, that is; whoever asks for proof gets none."""
    writer.write(STREAM_HEAD + (framed(token_event("a")) if "messages" in asked.json else b""))
    await asyncio.Event().wait()


async def test_a_stream_that_stalls_is_cut_with_an_error_event_and_its_engine_is_ejected(tmp_path: Path) -> None:
    async with (
        scripted_upstream(one_token) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], silence_s=SOON) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

        assert answer.content.startswith(token_event("a"))
        assert b'"code":"upstream_timeout"' in answer.content
        assert answer.content.endswith(DONE)
        assert health_of(running).ejected[EngineId("toy-1")].startswith("ejected: stall: no sign of life")


async def test_an_engine_silent_before_its_first_token_is_replaced_by_another(tmp_path: Path) -> None:
    async with (
        scripted_upstream(silent) as hung,
        scripted_upstream(answer_kindly) as well,
        running_gateway(
            tmp_path, [engine_at(hung.address, "toy-1"), engine_at(well.address, "toy-2")], silence_s=SOON
        ) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

        assert (answer.status_code, answer.headers["x-potluck-engine"]) == (200, "toy-2")
        assert "first_byte_timeout" in health_of(running).ejected[EngineId("toy-1")]


async def test_a_long_prompt_has_its_time_and_comments_and_progress_are_signs_of_life(tmp_path: Path) -> None:
    async def reads_slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for event in (b": keepalive\n\n", b'data: {"choices":[],"prompt_progress":{"total":9,"processed":3}}\n\n'):
            for _ in range(5):
                await asyncio.sleep(0.1)
                writer.write(framed(event))
        writer.write(framed(token_event("a")) + framed(DONE) + LAST_CHUNK)

    async with (
        scripted_upstream(reads_slowly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], silence_s=SOON) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

        assert answer.content.endswith(token_event("a") + DONE)
        assert health_of(running).ejected == {}


async def test_a_long_prompt_may_be_silent_for_as_long_as_it_takes_to_read(tmp_path: Path) -> None:
    async def reads_silently(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        await asyncio.sleep(1.0)
        writer.write(framed(token_event("a")) + framed(DONE) + LAST_CHUNK)

    body = json.dumps({"model": "toy", "messages": [{"role": "user", "content": "long " * 100}], "stream": True})
    async with (
        scripted_upstream(reads_silently) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], silence_s=SOON) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=body)

        assert answer.content.endswith(token_event("a") + DONE)
        assert health_of(running).ejected == {}


async def test_an_answer_that_is_not_streamed_is_judged_by_counters_alone(tmp_path: Path) -> None:
    """vLLM's whole answers come in one piece, at their end."""

    async def takes_its_time(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.0)
        await answer_kindly(asked, writer)

    async with (
        scripted_upstream(takes_its_time) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address, kind="vllm")], silence_s=SOON) as running,
        running.http() as client,
    ):
        patient = await client.post("/v1/chat/completions", content=WHOLE)
        still = replace(engine_at(upstream.address, kind="vllm"), progress_age_s=20.0)
        running.view.install_cluster(cluster_of([still], sequence=2))
        hung = await client.post("/v1/chat/completions", content=WHOLE)

        assert (patient.status_code, hung.status_code) == (200, 504)


async def test_a_machine_that_is_lost_ends_its_silent_answers_and_they_begin_elsewhere(tmp_path: Path) -> None:
    async with (
        scripted_upstream(silent) as gone,
        scripted_upstream(answer_kindly) as well,
        running_gateway(tmp_path, [engine_at(gone.address, "toy-1")], silence_s=(30.0, 0.1)) as running,
        running.http() as client,
    ):
        asking = asyncio.create_task(client.post("/v1/chat/completions", content=BODY))
        await gone.until(lambda seen: bool(seen.asked))
        here = replace(cluster_of([engine_at(gone.address, "toy-1")]).nodes[0], state="lost")
        there = cluster_of([engine_at(well.address, "toy-2")]).nodes[0]
        running.view.install_cluster(replace(cluster_of([], sequence=2), nodes=(here, there)))
        answer = await asking

        assert (answer.status_code, answer.headers["x-potluck-engine"]) == (200, "toy-2")


async def test_what_waits_at_an_engine_that_leaves_begins_elsewhere_and_what_it_works_on_stays(tmp_path: Path) -> None:
    async with (
        scripted_upstream(silent) as leaving,
        scripted_upstream(answer_kindly) as well,
        running_gateway(tmp_path, [engine_at(leaving.address, "toy-1")]) as running,
        running.http() as client,
    ):
        asking = [asyncio.create_task(client.post("/v1/chat/completions", content=BODY)) for _ in range(6)]
        await leaving.until(lambda seen: len(seen.asked) == 5)  # and it has 4 slots
        await running.until_waiting(1)
        here = replace(cluster_of([engine_at(leaving.address, "toy-1")]).nodes[0], state="draining")
        there = cluster_of([engine_at(well.address, "toy-2")]).nodes[0]
        running.view.install_cluster(replace(cluster_of([], sequence=2), nodes=(here, there)))
        async with asyncio.timeout(5):
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            await well.until(lambda seen: len(seen.asked) == 2)
        await leaving.until(lambda seen: seen.open_now == 4)

        assert done.pop().result().headers["x-potluck-engine"] == "toy-2"
        assert health_of(running).ejected == {}
        for task in asking:
            task.cancel()


async def test_a_frozen_engine_is_back_with_its_first_token_and_not_with_its_health(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path / "engine", "llamacpp", "--model-name", "toy") as engine:
        address = Address("127.0.0.1", engine.port)
        async with running_gateway(tmp_path, [engine_at(address)], silence_s=SOON) as running, running.http() as client:
            await asyncio.to_thread(engine.inject, frozen=True)
            hung = await client.post("/v1/chat/completions", content=BODY)
            asked = (await asyncio.to_thread(engine.state))["requests"]
            probed = await until_asked(engine, asked + 1)
            still_out = dict(health_of(running).ejected)
            await asyncio.to_thread(engine.inject, frozen=False)
            await until(lambda: not health_of(running).ejected, "it is back")
            well = await client.post("/v1/chat/completions", content=BODY)

    assert (hung.status_code, probed, list(still_out)) == (504, True, ["toy-1"])
    assert well.content.endswith(DONE)


async def test_an_ejected_engine_that_was_out_of_sight_has_proved_nothing_and_a_fresh_start_is_trusted(
    tmp_path: Path,
) -> None:
    async with (
        scripted_upstream(one_token) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], silence_s=SOON) as running,
        running.http() as client,
    ):
        await client.post("/v1/chat/completions", content=BODY)
        engine = replace(engine_at(upstream.address), generation=2)
        hidden = cluster_of([replace(engine, generation=1)], sequence=2)
        hidden = replace(hidden, nodes=(replace(hidden.nodes[0], state="lost"),))
        running.view.install_cluster(hidden)
        lost = dict(health_of(running).ejected)
        running.view.install_cluster(cluster_of([engine], sequence=3))
        again = dict(health_of(running).ejected)

        assert (list(lost), again) == (["toy-1"], {})


async def test_a_hung_engine_is_told_to_the_head_once_its_proof_has_waited_in_vain(tmp_path: Path) -> None:
    with running_fault_engine(tmp_path / "engine", "llamacpp", "--model-name", "toy") as engine:
        address = Address("127.0.0.1", engine.port)
        async with running_gateway(tmp_path, [engine_at(address)], silence_s=SOON) as running, running.http() as client:
            context = running.gateway.dispatcher.context
            reporter = DoubtReporter(AdminClient(running.paths.head_socket), context)
            await asyncio.to_thread(engine.inject, frozen=True)
            await client.post("/v1/chat/completions", content=BODY)
            at_first = reporter.doubts()
            (doubt,) = await until(reporter.doubts, "the proof has waited for long enough")
            context.pulse.sign(EngineId("toy-1"), context.clock.monotonic_s())
            moving = reporter.doubts()
            await asyncio.to_thread(engine.inject, frozen=False)
            await until(lambda: not health_of(running).ejected, "it is back")

            assert (at_first, moving, reporter.doubts()) == ([], [], [])
            assert (doubt.engine_id, doubt.generation) == ("toy-1", 1)
            assert doubt.reason == "a request for one token was not answered within 0.5 s"


async def until_asked(engine: FaultEngine, requests: int) -> bool:
    async with asyncio.timeout(5):
        while (await asyncio.to_thread(engine.state))["requests"] < requests:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.01)
    return True


async def test_a_client_whose_request_succeeds_is_proof_enough(tmp_path: Path) -> None:
    answers_clients = False

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if answers_clients and "messages" in asked.json:
            await answer_kindly(asked, writer)
        else:
            writer.write(whole(b'{"error": "oops"}', "500 Internal Server Error"))

    async with (
        scripted_upstream(script) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        failed = await client.post("/v1/chat/completions", content=BODY)
        await upstream.until(lambda seen: len(seen.asked) > 1)
        assert health_of(running).ejected == {"toy-1": "ejected: answered 500"}
        answers_clients = True
        answer = await client.post("/v1/chat/completions", content=BODY)

        assert (failed.status_code, answer.status_code) == (502, 200)
        assert health_of(running).ejected == {}
