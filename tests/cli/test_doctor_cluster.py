"""The doctor on the head's machine: a real head, and what it knows of machines, engines and models."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.checks.finding import Finding
from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.controller import ControllerTimes
from cluster.link import LinkKind
from cluster.node_health import SilenceLimits
from cluster.node_watch import WatchTimes
from cluster.service import HeadSettings
from cluster.snapshot import ClusterSnapshot, NodeAddress
from inventory.paths import StatePaths
from nodes.snapshot import NodeSnapshot, PressureSnapshot
from support.cluster_facts import GIB, held, node
from support.doctor_state import DoctorState, in_the_table, verdicts
from support.fake_node import FakeNode
from support.heads import running_head
from support.joining import eventually

CONFIG = "version: 1\nnodes: {box: {}, mac: {}}\nmodels: {smol: {source: 'file:/somewhere/smol.gguf'}}\n"
OF_THE_CLUSTER = ("nodes", "links", "clocks", "pressure", "running", "served")
TIMES = ControllerTimes(tick_s=0.05, watch=WatchTimes(every_s=0.2, limits=SilenceLimits(suspect_s=2.5, lost_s=4.0)))


class LiveNode(FakeNode):
    """Its reports are of this moment, by a clock that may be wrong."""

    def __init__(self, snapshot: NodeSnapshot) -> None:
        super().__init__(snapshot)
        self.clock_off_s = 0.0
        self.way: str | None = None  # why it is reached by https

    @property
    def reason(self) -> str:
        return self.way or ""

    @property
    def kind(self) -> LinkKind:
        return "https" if self.way is not None else "local"

    @property
    def address(self) -> NodeAddress | None:
        return NodeAddress("192.0.2.4", 8402) if self.way is not None else None

    async def observe(self) -> NodeSnapshot:
        return replace(await super().observe(), taken_at_s=time.time() + self.clock_off_s)


class Cluster:
    def __init__(self, paths: StatePaths, admin: AdminClient, machines: Sequence[LiveNode]) -> None:
        self.paths, self.admin = paths, admin
        self.box, self.mac = machines

    async def snapshot(self) -> ClusterSnapshot | None:
        try:
            return await self.admin.snapshot()
        except AdminRefusedError:
            return None

    async def findings(self) -> tuple[Finding, ...]:
        found = await asyncio.to_thread(DoctorState(self.paths, 0, 0).findings)
        return tuple(one for one in found if one.name in OF_THE_CLUSTER)

    async def told(self, check: str) -> Finding:
        """Once the head has seen it. Nothing else is told."""

        async def look() -> Finding | None:
            found = await self.findings()
            return next((one for one in found if one.verdict != "ok"), None)

        finding = await eventually(look, f"the doctor tells of {check}", 60)
        assert finding.name == check, finding
        assert set(verdicts(await self.findings())) == {check}
        in_the_table(finding.detail[:42], finding)
        return finding

    async def is_well(self) -> None:
        async def look() -> bool:
            snapshot = await self.snapshot()
            return snapshot is not None and not verdicts(await self.findings())

        await eventually(look, "nothing is wrong", 60)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two machines, and a model that serves on the first."""
    async with a_cluster(tmp_path) as running:
        yield running


@asynccontextmanager
async def a_cluster(root: Path) -> AsyncIterator[Cluster]:
    paths = StatePaths.at(root / "state").ensure()
    paths.config_file.write_text(CONFIG)
    paths.node_name.write_text("box")
    machines = [LiveNode(node("box", [held("smol")])), LiveNode(node("mac"))]
    async with running_head(HeadSettings(paths, times=TIMES), machines) as admin:
        cluster = Cluster(paths, admin, machines)

        async def serves() -> bool:
            cluster.box.become_ready()
            snapshot = await cluster.snapshot()
            return snapshot is not None and all(model.state == "ready" for model in snapshot.models)

        await eventually(serves, "the model serves", 60)
        await cluster.is_well()
        yield cluster


async def test_a_machine_that_is_lost_and_one_that_is_back(cluster: Cluster) -> None:
    cluster.mac.unreachable = "no route to host"
    told = await cluster.told("nodes")
    cluster.mac.unreachable = None
    await cluster.is_well()

    assert told.verdict in ("warn", "fail")
    assert "mac" in told.detail and "no route to host" in told.detail
    assert "on mac: potluck doctor" in told.fix


async def test_a_machine_that_is_only_written_down_is_told_how_it_joins(cluster: Cluster) -> None:
    await cluster.admin.apply_config(CONFIG.replace("mac: {}", "mac: {}, rtx: {}"))
    told = await cluster.told("nodes")

    assert (told.verdict, told.detail) == ("warn", "rtx is in cluster.yaml and has not joined")
    assert told.fix.startswith("potluck token create --node rtx")


async def test_a_machine_that_stays_away_fails(cluster: Cluster) -> None:
    cluster.mac.unreachable = "no route to host"

    async def lost() -> Finding | None:
        told = await cluster.told("nodes")
        return told if told.verdict == "fail" else None

    told = await eventually(lost, "it is lost", 60)

    assert told.detail.startswith("mac is lost: ")
    assert "potluck nodes rm mac" in told.fix


@pytest.mark.parametrize(("off_s", "words"), [(600.0, "ahead of"), (-7200.0, "behind")])
async def test_a_clock_that_is_wrong(cluster: Cluster, off_s: float, words: str) -> None:
    cluster.mac.clock_off_s = off_s
    told = await cluster.told("clocks")

    assert (told.verdict, told.detail.startswith("the clock of mac is"), words in told.detail) == ("warn", True, True)
    assert told.fix.startswith("on mac: sudo timedatectl set-ntp true")


async def test_a_link_that_should_be_rays(cluster: Cluster) -> None:
    cluster.mac.way = "Python 3.12.1 there, 3.11.2 at the head; Ray wants one minor version"
    told = await cluster.told("links")
    cluster.mac.way = "cluster.yaml says so: nodes.mac.transport"
    await cluster.is_well()

    assert (told.verdict, "Python 3.12.1 there" in told.detail) == ("warn", True)
    assert "on mac: potluck doctor net" in told.fix


async def test_an_engine_that_died_too_often_is_named_with_its_log(cluster: Cluster) -> None:
    (serving,) = cluster.box.snapshot.engines
    ill = replace(serving, state="quarantined", reason="died 5 times in 10 minutes: exited with signal 9")
    cluster.box.snapshot = replace(cluster.box.snapshot, engines=(ill,))

    async def look() -> tuple[Finding, ...]:
        found = await cluster.findings()
        return tuple(one for one in found if one.verdict != "ok" and one.name == "running")

    (told,) = await eventually(look, "the engine is told", 60)

    assert (told.verdict, serving.engine_id in told.detail, "signal 9" in told.detail) == ("fail", True, True)
    assert f"potluck nodes logs box {serving.engine_id}" in told.fix
    in_the_table("engine died too often", told)
    assert set(verdicts(await cluster.findings())) <= {"running", "served"}


async def test_a_model_that_has_no_place_is_told_with_the_reason(cluster: Cluster) -> None:
    more = CONFIG.replace("models: {", "models: {other: {source: 'file:/somewhere/other.gguf'}, ")
    await cluster.admin.apply_config(more)
    told = await cluster.told("served")

    assert (told.verdict, told.detail.startswith("other has no place: ")) == ("warn", True)
    assert told.fix == "potluck fit other"


async def test_a_machine_that_runs_short_of_memory(cluster: Cluster) -> None:
    short = PressureSnapshot("short", f"{GIB} bytes available of {64 * GIB}", time.time())
    cluster.mac.snapshot = replace(cluster.mac.snapshot, pressure=short)
    told = await cluster.told("pressure")

    assert (told.verdict, told.detail.startswith("mac is short of memory")) == ("warn", True)
    assert "end programs that are not needed" in told.fix
