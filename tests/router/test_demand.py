"""What a gateway tells the head of models that sleep, over the head's real admin API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastapi import FastAPI

from cluster.admin_client import AdminClient
from cluster.admin_demand import add_demand_routes
from cluster.demand import DemandReport, ModelDemand
from cluster.snapshot import ModelState
from inventory.catalog import ModelName
from nodes.snapshot import EngineSnapshot
from nodes.unix_server import serve_unix
from router.demand import DemandReporter
from support.gateway import MODEL, Running, cluster_of, engine_at, running_gateway
from support.nodes import until
from support.upstream import answer_kindly, kindly_after, scripted_upstream

CHAT = "/v1/chat/completions"
ASK = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Head:
    reports: list[DemandReport] = field(default_factory=list)

    def note_demand(self, report: DemandReport) -> None:
        self.reports.append(report)

    def last(self) -> ModelDemand:
        models = self.reports[-1].models if self.reports else ()
        return models[0] if models else ModelDemand(ModelName("none"))


def publish(running: Running, state: ModelState, *engines: EngineSnapshot, keep_alive_s: float | None = 600.0) -> None:
    sequence = running.view.cluster.sequence + 1 if running.view.cluster else 1
    snapshot = cluster_of(engines, sequence=sequence)
    model = replace(snapshot.models[0], state=state, keep_alive_s=keep_alive_s)
    running.view.install_cluster(replace(snapshot, models=(model,)))


@asynccontextmanager
async def reporting(running: Running) -> AsyncIterator[Head]:
    """A head that writes down what it is told, and the gateway's reporter."""
    head, app, stop = Head(), FastAPI(), asyncio.Event()
    add_demand_routes(app, head)
    socket = running.paths.head_socket
    serving = asyncio.create_task(serve_unix(app, socket, stop))
    await until(socket.exists, "the head listens")
    gateway = running.gateway
    reporter = DemandReporter(
        AdminClient(socket), gateway.dispatcher.context, gateway.uses, lambda: running.view.table, "gateway-1"
    )
    telling = asyncio.create_task(reporter.run())
    try:
        yield head
    finally:
        telling.cancel()
        stop.set()
        await asyncio.wait([telling, serving])


async def test_who_waits_is_told_at_once_and_taken_back_when_they_leave(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, reporting(running) as head, running.http() as client:
        publish(running, "asleep")
        asking = [asyncio.create_task(client.post(CHAT, json=ASK)) for _ in range(3)]
        await until(lambda: head.last().waiting == 3, "three wait")
        told = head.last()
        for one in asking:
            one.cancel()
        await until(lambda: head.reports[-1].models == (), "nobody waits")

    assert (told.model, told.running, told.ended) == ("toy", 0, 0)
    assert told.waited_s > 0
    assert {report.gateway for report in head.reports} == {"gateway-1"}


async def test_what_runs_and_what_has_ended_is_told_again_and_again(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with (
        scripted_upstream(kindly_after(go_on)) as upstream,
        running_gateway(tmp_path, []) as running,
        reporting(running) as head,
        running.http() as client,
    ):
        publish(running, "ready", engine_at(upstream.address))
        asking = asyncio.create_task(client.post(CHAT, json=ASK))
        await until(lambda: head.last().running == 1, "it runs")
        go_on.set()
        await asking
        await until(lambda: (head.last().running, head.last().ended) == (0, 1), "it has ended")
        await until(lambda: head.reports[-1].models == (), "there is nothing left to say")


async def test_models_that_always_run_are_nobodys_business(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, "ready", engine_at(upstream.address), keep_alive_s=None)
        await client.post(CHAT, json=ASK)
        running.gateway.dispatcher.context.flush()
        gateway = running.gateway
        reporter = DemandReporter(
            AdminClient(running.paths.head_socket),
            gateway.dispatcher.context,
            gateway.uses,
            lambda: running.view.table,
            "gateway-1",
        )

        assert reporter.demand(gateway.uses.take()) == ()


async def test_requests_that_ended_are_told_once_the_head_is_back(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, []) as running,
        running.http() as client,
    ):
        publish(running, "ready", engine_at(upstream.address))
        gateway = running.gateway
        reporter = DemandReporter(
            AdminClient(running.paths.head_socket),
            gateway.dispatcher.context,
            gateway.uses,
            lambda: running.view.table,
            "gateway-1",
        )
        await client.post(CHAT, json=ASK)
        gateway.dispatcher.context.flush()
        await reporter.tell()  # nobody listens
        async with reporting(running) as head:
            await until(lambda: head.last().ended == 1, "it is told")


async def test_a_batch_of_a_model_that_sleeps_is_told_and_asks_for_nobodys_room(tmp_path: Path) -> None:
    line = {"custom_id": "1", "method": "POST", "url": CHAT, "body": ASK}
    async with running_gateway(tmp_path, []) as running, reporting(running) as head, running.openai() as client:
        publish(running, "asleep")
        file = await client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        await until(lambda: head.last().background, "its line is told")
        demand = head.last()
        now = await client.batches.retrieve(batch.id)

    assert (demand.model, demand.waiting, demand.running, demand.wanted) == (MODEL, 0, 0, False)
    assert "no engine of `toy` runs" in (now.model_extra or {})["potluck_why"]
