"""Whatever becomes of requests, nothing of them is left over in what is foreseen of the machines."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import NodeId
from router.foresight import Question
from support.engines import running_fault_engine
from support.gateway import MODEL, cluster_of, engine_at, node_with, running_gateway
from support.mixed_requests import Mix, ask_all, mixed
from support.nodes import until

RATES = Rates(4000.0, 20_000.0, 0.005, 0.0, 0.0)
FLAGS = ("--model-name", MODEL, "--prompt-tokens-per-s", "4000", "--tokens-per-s", "400")


@pytest.mark.parametrize("seed", [1, 2])
async def test_ends_aborts_and_deaths_leave_nothing_behind(tmp_path: Path, seed: int) -> None:
    with ExitStack() as stack:
        engines = [
            stack.enter_context(running_fault_engine(tmp_path / name, "llamacpp", *FLAGS)) for name in ("a", "b", "c")
        ]
        nodes = []
        for number, running in enumerate(engines):
            engine = engine_at(Address("127.0.0.1", running.port), f"{MODEL}.{number}", slots=4)
            measured = replace(engine, rates=RATES)
            nodes.append(replace(node_with([measured]), node_id=NodeId(f"machine-{number}")))
        async with running_gateway(tmp_path, []) as gateway, gateway.http() as client:
            gateway.view.install_cluster(replace(cluster_of([], sequence=2), nodes=tuple(nodes)))
            asking = asyncio.create_task(ask_all(client, mixed(150, Mix(MODEL, leaving=0.3), seed), together=24))
            await until(lambda: len(gateway.records.kept) > 20, "some have ended")
            engines[seed].process.kill()
            await asking
            await gateway.until_idle()
            foresight = gateway.gateway.dispatcher.context.foresight
            known = foresight.prospect(
                Question(100, "test"), [node.snapshot.engines[0].engine_id for node in nodes if node.snapshot], 1e9
            )
            served = {record.engine_id for record in gateway.finished() if record.status == 200}

        assert known is not None
        for standing in known.standings.values():
            assert (standing.in_flight, standing.decoding, standing.kv_tokens) == (0, 0, 0)
            assert (standing.backlog_s, standing.backlog_tokens, standing.neighbours_step_s) == (0.0, 0, 0.0)
        assert len(served) == 3
