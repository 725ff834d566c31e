"""The bridge, its links and its jobs over a real socket, with Ray's part played in this process: the agent is real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cluster.jobs import JobFabricDownError, JobPart, perform
from cluster.link import LinkError, OrderRefusedError
from cluster.ray_bridge import FabricNode, NodeAwayError, RayDownError, run_bridge
from cluster.ray_jobs import RayJobs
from cluster.ray_link import RayLink
from cluster.snapshot import NodeAddress
from nodes.api_wire import PREFIX
from nodes.orders import Authority, EngineSpec
from nodes.ray_agent import NodeAgent, Reply
from nodes.snapshot import EngineId, NodeId
from support.cluster_facts import model_ref
from support.node_daemon import a_node_daemon
from support.nodes import until

BOX = NodeId("box")
SPEC = EngineSpec(EngineId("m.box.1"), "llamacpp", model_ref("m"), 2048, 4)


class InProcessFabric:
    """One node, whose agent lives here. Implements cluster.ray_bridge.Fabric."""

    def __init__(self) -> None:
        self.agent = NodeAgent()
        self.looks = 0
        self.down = False
        self.gone = False
        self.working = asyncio.Event()
        self.may_work = asyncio.Event()
        self.may_work.set()

    async def nodes(self) -> tuple[FabricNode, ...]:
        self.looks += 1
        if self.down:
            raise ConnectionError("the head does not answer")
        if self.gone:
            return ()
        return (FabricNode("10.0.0.2", (("CPU", 2.0), ("node:10.0.0.2", 1.0), ("node:box", 1.0))),)

    async def welcome(self, node: str) -> None:
        await self.call(node, "GET", f"{PREFIX}/protocol", b"")

    async def call(self, node: str, method: str, path: str, body: bytes) -> Reply:
        return await self.agent.call(method, path, body)

    async def run(self, node: str, kind: str, argument: bytes) -> bytes:
        self.working.set()
        await self.may_work.wait()
        return await asyncio.to_thread(perform, kind, argument)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTLUCK_STATE_DIR", str(tmp_path / "s"))
    return tmp_path / "s"


@asynccontextmanager
async def a_bridge(socket: Path) -> AsyncIterator[InProcessFabric]:
    fabric, stop = InProcessFabric(), asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_bridge(lambda: fabric, socket, stop))
        await until(socket.exists, "the bridge serves")
        while "agent is starting" in await _reason(RayLink(BOX, socket, None)):  # noqa: ASYNC110  asked over a socket
            await asyncio.sleep(0.01)
        try:
            yield fabric
        finally:
            stop.set()


async def _reason(link: RayLink) -> str:
    try:
        await link.observe()
    except LinkError as error:
        return error.reason
    return ""


async def test_a_link_through_the_bridge_is_the_node_api_all_the_way(state: Path, tmp_path: Path) -> None:
    async with a_node_daemon(state, "box"), a_bridge(tmp_path / "ray.sock"):
        link = RayLink(BOX, tmp_path / "ray.sock", NodeAddress("10.0.0.2", 8402))

        assert (await link.observe()).node_id == BOX
        assert (link.kind, link.address) == ("ray", NodeAddress("10.0.0.2", 8402))
        with pytest.raises(OrderRefusedError):  # the daemon's own words: it has no such model
            await link.ensure_engine(SPEC, Authority(1, 1))


async def test_a_node_without_a_daemon_is_unreachable_and_not_refusing(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    async with a_bridge(tmp_path / "ray.sock"):
        with pytest.raises(LinkError, match="no node daemon answers") as caught:
            await RayLink(BOX, tmp_path / "ray.sock", None).ensure_engine(SPEC, Authority(1, 1))

    assert not isinstance(caught.value, OrderRefusedError)


async def test_a_node_that_ray_does_not_have_is_named(state: Path, tmp_path: Path) -> None:
    async with a_bridge(tmp_path / "ray.sock"):
        with pytest.raises(LinkError, match="studio is not reached through Ray: it has no raylet"):
            await RayLink(NodeId("studio"), tmp_path / "ray.sock", None).observe()


async def test_only_the_node_api_passes_the_agent(state: Path) -> None:
    status, _ = await NodeAgent().call("GET", "/engines/m.box.1/v1/models", b"")

    assert status == 404


async def test_a_job_runs_on_the_nodes_that_ray_has(state: Path, tmp_path: Path) -> None:
    async with a_bridge(tmp_path / "ray.sock"):
        jobs = RayJobs(tmp_path / "ray.sock")
        done, unknown = await jobs.run("verify_models", [JobPart(BOX), JobPart(NodeId("studio"))])

    assert (done.answer, done.error) == (b"[]", None)
    assert (unknown.answer, unknown.error) == (None, "it has no raylet in this cluster")


async def test_a_job_ends_with_the_node_that_had_it(state: Path, tmp_path: Path) -> None:
    async with a_bridge(tmp_path / "ray.sock") as fabric:
        fabric.may_work.clear()
        job = asyncio.create_task(RayJobs(tmp_path / "ray.sock").run("verify_models", [JobPart(BOX)]))
        await fabric.working.wait()
        fabric.gone = True
        (outcome,) = await job

    assert (outcome.answer, outcome.error) == (None, "it left the cluster before the job was done")


async def test_without_a_bridge_jobs_and_links_say_that_ray_is_down(tmp_path: Path) -> None:
    with pytest.raises(JobFabricDownError, match="Ray is down"):
        await RayJobs(tmp_path / "ray.sock").run("verify_models", [])
    with pytest.raises(LinkError, match=r"no node daemon answers at .*ray.sock for box"):
        await RayLink(BOX, tmp_path / "ray.sock", None).observe()


async def test_a_bridge_whose_ray_stays_away_ends(state: Path, tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with a_bridge(tmp_path / "ray.sock") as fabric:
            fabric.down = True
            await asyncio.Event().wait()

    assert caught.group_contains(RayDownError, match="3 times in a row")


async def test_a_bridge_that_never_reaches_ray_says_so(tmp_path: Path) -> None:
    def connect() -> InProcessFabric:
        raise ConnectionError("nobody at 10.0.0.1:8410")

    with pytest.raises(RayDownError, match="nobody at"):
        await run_bridge(connect, tmp_path / "ray.sock", asyncio.Event())


def test_a_nodes_name_is_the_resource_that_is_not_its_address() -> None:
    resources = (("node:10.0.0.2", 1.0), ("node:__internal_head__", 1.0), ("node:box", 1.0))

    assert FabricNode("10.0.0.2", resources).name == "box"
    assert FabricNode("10.0.0.2", resources[:2]).name is None


def test_an_error_names_the_node() -> None:
    assert str(NodeAwayError("box", "gone")) == "box is not reached through Ray: gone"
