"""Front ends' own calls at the real gateway, where models sleep: who answers, and what the head hears of it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.render_route import explanation_text
from cluster.admin_client import AdminClient
from cluster.snapshot import ModelState
from inventory.catalog import Capability, ModelName
from inventory.clock import SystemClock
from nodes.snapshot import EngineSnapshot
from router.decision import routing_table
from router.decision_query import last_decision
from router.demand import DemandReporter
from router.explain import explain
from router.side_routes import Awake, cheapest
from router.telemetry import TelemetryWriter
from support.front_ends import OPEN_WEBUI, front_end_calls
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.nodes import until
from support.upstream import Asked, answer_kindly, chat_answer, kindly_after, scripted_upstream, whole

CHAT = "/v1/chat/completions"
TITLE: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": OPEN_WEBUI["title"](["hola"])}]}
QUESTION: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "hola"}]}
SLEEPING: Mapping[str, ModelState] = {"big": "asleep"}


def publish(
    running: Running,
    engines: list[EngineSnapshot],
    states: Mapping[str, ModelState] = SLEEPING,
    can: Mapping[str, frozenset[Capability]] | None = None,
    **more: Any,
) -> None:
    """Models of which each sleeps while nobody asks for it."""
    names = sorted({*states, *(engine.model.name for engine in engines)})
    sequence = running.view.cluster.sequence + 1 if running.view.cluster else 1
    snapshot = cluster_of(engines, names, sequence)
    models = tuple(
        replace(
            view,
            state=states.get(view.name, "ready"),
            keep_alive_s=600.0,
            capabilities=(can or {}).get(view.name, view.capabilities),
        )
        for view in snapshot.models
    )
    running.view.install_cluster(replace(snapshot, models=models, **more))


def reporter(running: Running) -> DemandReporter:
    gateway = running.gateway
    head = AdminClient(running.paths.head_socket)
    return DemandReporter(head, gateway.dispatcher.context, gateway.uses, lambda: running.view.table, "gateway-1")


def told(running: Running) -> tuple[Any, ...]:
    """What the head would hear now."""
    running.gateway.dispatcher.context.flush()
    return reporter(running).demand(running.gateway.uses.take())


async def test_a_model_that_is_awake_answers_for_one_that_sleeps_in_every_dialect(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, [engine_at(upstream.address, "small-1", "small")])
        for one in front_end_calls("big", ["¿Qué hora es?", "Las tres."]):
            answer = await client.post(one.path, json=one.body)
            assert answer.status_code == 200, (one, answer.text)
            assert answer.headers["x-potluck-model"] == "small"
            assert answer.headers["x-potluck-route-reason"] == "side_call"
            reason = answer.headers["x-potluck-model-reason"]
            assert reason.startswith(f"{one.kind}: ") and reason.endswith("; big is asleep")

        assert {asked.json["model"] for asked in upstream.asked} == {"small"}
        assert told(running) == (), "nobody asked for either of them"


async def test_the_same_model_answers_where_it_is_awake_and_is_no_more_in_use_than_before(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with (
        scripted_upstream(kindly_after(go_on)) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(
            running, [engine_at(upstream.address, "big-1", "big"), engine_at(upstream.address, "small-1", "small")], {}
        )
        asking = asyncio.create_task(client.post(CHAT, json=TITLE))
        await until(lambda: running.in_flight == 1, "it is asked")
        assert told(running) == ()
        other = asyncio.create_task(client.post(CHAT, json=QUESTION))
        await until(lambda: running.in_flight == 2, "both are asked")
        assert [(one.model, one.running) for one in told(running)] == [("big", 1)]
        go_on.set()
        title, _ = await asking, await other

        assert title.headers["x-potluck-route-reason"] == "side_call"
        assert "x-potluck-model" not in title.headers
        assert [(one.model, one.running, one.ended) for one in told(running)] == [("big", 0, 1)]
        assert sorted(str(record.side_call) for record in running.finished()) == ["None", "title"]


async def test_where_nobody_is_awake_it_is_told_to_come_back_in_its_dialect_and_nothing_is_asked_for(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        publish(running, [], {"big": "asleep", "small": "asleep"})
        for one in front_end_calls("big", ["Wie spät ist es?"]):
            answer = await client.post(one.path, json=one.body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10"), one
            said = answer.json()
            if one.path.startswith("/v1/messages"):
                assert said["type"] == "error" and "nobody wakes a model" in said["error"]["message"]
            elif one.path.startswith("/api"):
                assert "nobody wakes a model" in said["error"]
            else:
                assert said["error"]["code"] == "no_warm_model"

        assert (running.waiting, told(running)) == (0, ())
        asking = asyncio.create_task(client.post(CHAT, json=QUESTION))
        await running.until_waiting(1)
        assert [(one.model, one.waiting) for one in told(running)] == [("big", 1)]
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


def _short(address: Any) -> EngineSnapshot:
    return engine_at(address, "small-1", "small", context_tokens=16)


@pytest.mark.parametrize(
    ("make", "can"),
    [
        (_short, {}),
        (lambda address: engine_at(address, "small-1", "small"), {"small": frozenset({"embed"})}),
        (lambda address: engine_at(address, "small-1", "small", state="draining"), {}),
    ],
    ids=["too short a context", "no chat model", "it leaves"],
)
async def test_who_cannot_answer_is_not_asked(
    tmp_path: Path, make: Callable[[Any], EngineSnapshot], can: Mapping[str, frozenset[Capability]]
) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, [make(upstream.address)], can=can)

        assert (await client.post(CHAT, json=TITLE)).json()["error"]["code"] == "no_warm_model"
        assert upstream.asked == []


async def test_among_those_that_are_awake_the_one_with_less_to_do_answers(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(whole(chat_answer("Hora")))

    async with (
        scripted_upstream(answer) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, [engine_at(upstream.address, f"{name}-1", name) for name in ("one", "two")])
        asking = []
        for _ in range(4):
            asking.append(asyncio.create_task(client.post(CHAT, json=TITLE)))
            await until(lambda: running.in_flight == len(asking), "it is asked")
        go_on.set()

        models = [(await one).headers["x-potluck-model"] for one in asking]
        assert models == ["one", "two", "one", "two"]


async def test_one_that_waits_for_its_turn_does_not_wait_for_the_model_itself(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with (
        scripted_upstream(kindly_after(go_on)) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        engine = engine_at(upstream.address, "big-1", "big", slots=1)
        publish(running, [engine], {})
        busy = [asyncio.create_task(client.post(CHAT, json=QUESTION)) for _ in range(2)]
        await until(lambda: running.in_flight == 2, "it has enough to do")
        title = asyncio.create_task(client.post(CHAT, json=TITLE))
        await running.until_waiting(1)
        assert [(one.model, one.waiting, one.running) for one in told(running)] == [("big", 0, 2)]
        publish(running, [engine], {"big": "yielding"})

        assert (await title).json()["error"]["code"] == "no_warm_model"
        go_on.set()
        assert [(await one).status_code for one in busy] == [200, 200]


async def test_a_header_says_it_too_and_the_operator_may_have_none_of_it(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        engines = [engine_at(upstream.address, "small-1", "small")]
        publish(running, engines)
        answer = await client.post(CHAT, json=QUESTION, headers={"X-OpenWebUI-Task": "tags_generation"})
        assert answer.headers["x-potluck-model-reason"].startswith("tags: the front end says so")

        publish(running, engines, side_calls="as_asked")
        asking = [
            asyncio.create_task(client.post(CHAT, json=TITLE)),
            asyncio.create_task(client.post(CHAT, json=QUESTION, headers={"X-OpenWebUI-Task": "tags_generation"})),
        ]
        await running.until_waiting(2)
        for one in asking:
            one.cancel()


async def test_what_has_tools_is_a_users_whatever_a_header_says(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, [engine_at(upstream.address, "small-1", "small")])
        body = {**TITLE, "tools": [{"type": "function", "function": {"name": "look"}}]}
        asking = asyncio.create_task(client.post(CHAT, json=body, headers={"X-OpenWebUI-Task": "tags_generation"}))
        await running.until_waiting(1)
        asking.cancel()


def test_who_has_room_is_first_then_who_is_done_first_and_seconds_are_not_compared_with_counts() -> None:
    def awake(name: str, room: bool, cost: float, in_seconds: bool, per_slot: float) -> Awake:
        return Awake(routing_table(cluster_of([], [name])).models[ModelName(name)], room, cost, in_seconds, per_slot)

    fast, slow = awake("fast", True, 0.2, True, 0.9), awake("slow", True, 3.0, True, 0.1)
    full, unknown = awake("full", False, 0.1, True, 1.5), awake("unknown", True, 0.5, False, 0.5)

    assert cheapest([slow, full, fast]) == fast
    assert cheapest([slow, fast, unknown]) == slow
    assert cheapest([full]) == full
    assert cheapest([]) is None


async def test_its_key_may_not_use_what_it_may_not_ask_for(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        access = running.view.access
        assert access is not None
        keys = tuple(replace(key, models=("big",)) for key in access.keys)
        running.view.install_access(replace(access, sequence=access.sequence + 1, keys=keys))
        engines = [engine_at(upstream.address, "small-1", "small")]
        publish(running, engines)
        assert (await client.post(CHAT, json=TITLE)).json()["error"]["code"] == "no_warm_model"
        keys = tuple(replace(key, models=("big", "quick")) for key in access.keys)
        running.view.install_access(replace(access, sequence=access.sequence + 2, keys=keys))
        publish(running, engines, aliases=(("quick", ModelName("small")),))
        assert (await client.post(CHAT, json=TITLE)).status_code == 200


async def test_the_record_of_its_decision_says_what_it_was_and_in_whose_place(tmp_path: Path) -> None:
    telemetry = TelemetryWriter(tmp_path / "telemetry.db", SystemClock())
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [], sinks=(telemetry,)) as running,
        running.http() as client,
    ):
        publish(running, [engine_at(upstream.address, "small-1", "small")])
        await client.post(CHAT, json=TITLE)
    telemetry.close()
    said = explain(last_decision(tmp_path / "telemetry.db"))

    assert (said.model, said.reason) == ("small", "side_call")
    assert said.side_call == "title: Open WebUI's template; big is asleep"
    assert "side call title: Open WebUI's template; big is asleep" in explanation_text(said)
