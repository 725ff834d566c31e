"""What a gateway learnt of its engines outlives it, and a file that is broken costs nothing else."""

from dataclasses import replace
from pathlib import Path

from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineId
from router.learnt_file import LearntFile
from router.rates import Bias, Learnt
from support.gateway import Running, cluster_of, engine_at, running_gateway

RATES = Rates(1000.0, 20_000.0, 0.01, 0.001, 0.0)
ENGINE = replace(engine_at(Address("127.0.0.1", 1)), rates=RATES)
LEARNT = Learnt(RATES, Bias(prefill=2.0, decode=0.5, prefill_samples=9, decode_samples=4), cache_tokens=8192, kept=0.5)


def file_of(running: Running) -> LearntFile:
    return LearntFile(running.paths, running.gateway.dispatcher.context)


async def test_the_next_gateway_goes_on_from_there(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as first:
        first.gateway.dispatcher.context.learnt[ENGINE.engine_id] = LEARNT
        first.view.install_cluster(cluster_of([ENGINE], sequence=2))
        file_of(first).save()
    async with running_gateway(tmp_path, []) as second:
        file_of(second).load()
        second.view.install_cluster(cluster_of([ENGINE], sequence=2))

        assert second.gateway.dispatcher.context.foresight.learnt() == {ENGINE.engine_id: LEARNT}


async def test_an_engine_that_was_away_keeps_what_was_learnt_of_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        context = running.gateway.dispatcher.context
        context.learnt[ENGINE.engine_id] = LEARNT
        for sequence, engines in enumerate(([ENGINE], [], [ENGINE]), start=2):
            running.view.install_cluster(cluster_of(engines, sequence=sequence))

        assert context.foresight.learnt() == {ENGINE.engine_id: LEARNT}


async def test_a_broken_file_is_as_good_as_none(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        (running.paths.gateway / "learnt.json").write_text('{"x": 1')
        kept = file_of(running)
        kept.load()
        running.gateway.dispatcher.context.learnt[EngineId("e")] = LEARNT
        kept.save()
        running.gateway.dispatcher.context.learnt.clear()
        file_of(running).load()

        assert running.gateway.dispatcher.context.learnt == {EngineId("e"): LEARNT}
