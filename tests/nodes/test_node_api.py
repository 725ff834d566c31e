"""The node daemon behind its API, asked by its own client over a real Unix socket."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TypeVar

import msgspec
import pytest

from inventory.catalog import ArtifactId, HeldModel, StoredModel
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.api import node_app
from nodes.api_wire import ProtocolRange
from nodes.client import NodeClient, NodeError, NodeRefusedError, NodeUnreachableError
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.deny_list import DenyList
from nodes.engine_envs import MARKER, EngineEnvironment
from nodes.leases import reap
from nodes.orders import Authority
from nodes.process_identity import identify
from nodes.snapshot import EngineId, EngineSnapshot, InstalledEngine, NodeId, NodeSnapshot
from nodes.unix_server import serve_unix, unix_client
from support.engines import FaultAdapter
from support.nodes import QUICK, spec, until

Found = TypeVar("Found")
CHIEF = Authority(epoch=1, config_revision=1)
ENGINE = EngineId("fault-1")
HELD = (HeldModel(spec().model, "gguf", 1, 1, 512, frozenset({"chat"})),)


class OneModel(ModelStore):
    """A model store that holds the fault engine's model."""

    def held(self) -> tuple[HeldModel, ...]:
        return HELD

    def by_artifact(self, artifact_id: ArtifactId) -> StoredModel | None:
        return None

    def main_path(self, artifact_id: ArtifactId) -> Path:
        return Path("/models") / artifact_id


def pretend_installed(engines_dir: Path) -> None:
    """An environment whose python is this one: the fault engine needs no other."""
    (engines_dir / "llamacpp" / "bin").mkdir(parents=True)
    (engines_dir / "llamacpp" / "bin" / "python").symlink_to(sys.executable)
    environment = EngineEnvironment("llamacpp", "1.0-fault", sys.executable, "lock", 0.0)
    (engines_dir / "llamacpp" / MARKER).write_bytes(msgspec.json.encode(environment))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeSettings:
    monkeypatch.setenv("POTLUCK_ENGINES_DIR", str(tmp_path / "engines"))
    pretend_installed(tmp_path / "engines")
    paths = StatePaths.at(tmp_path / "state").ensure()
    return NodeSettings(
        paths,
        NodeId("here"),
        (HostProbe(paths.models),),
        OneModel(paths.models, SystemClock()),
        (FaultAdapter(),),
        SystemClock(),
        "home",
        QUICK,
        0.1,
    )


@pytest.fixture
async def client(settings: NodeSettings) -> AsyncIterator[NodeClient]:
    """A client of a running daemon, whose engines are gone afterwards."""
    daemon, ready, stop = NodeDaemon(settings), asyncio.Event(), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(daemon.run(ready, stop))
            await ready.wait()
            app = node_app(daemon, DenyList(settings.paths.identity), stop.set)
            tasks.create_task(serve_unix(app, settings.paths.node_socket, stop))
            await until(settings.paths.node_socket.exists, "the node API listens")
            yield NodeClient(settings.paths.node_socket)
            stop.set()
    finally:
        reap(settings.paths.leases, grace_s=0.2)


async def seen(client: NodeClient, look: Callable[[NodeSnapshot], Found | None], what: str) -> Found:
    """What `look` finds in the node's snapshots, once it finds something."""
    end = monotonic() + 20
    while not (found := look(await client.observe())):
        assert monotonic() < end, f"not within 20 s: {what}"
        await asyncio.sleep(0.02)
    return found


async def engine_in(client: NodeClient, state: str) -> EngineSnapshot:
    return await seen(
        client, lambda node: next((engine for engine in node.engines if engine.state == state), None), f"it is {state}"
    )


async def test_a_node_tells_what_it_is_holds_and_can_run(client: NodeClient) -> None:
    snapshot = await client.observe()

    assert (snapshot.node_id, snapshot.zone, snapshot.engines) == ("here", "home", ())
    assert snapshot.installed == (InstalledEngine("llamacpp", "1.0-fault"),)
    assert snapshot.models == HELD
    assert snapshot.hardware.pools[0].total_bytes > 0
    assert await client.protocol() == ProtocolRange(1, 1)


async def test_an_engine_is_ordered_drained_and_forgotten(client: NodeClient) -> None:
    await client.ensure_engine(spec(), CHIEF)
    ready = await engine_in(client, "ready")
    await client.drain_engine(ENGINE, CHIEF)
    stopped = await engine_in(client, "stopped")
    await client.stop_engine(ENGINE, CHIEF)
    await seen(client, lambda node: not node.engines, "it is forgotten")

    assert ready.model == spec().model
    assert stopped.pid is None


async def test_a_node_tells_what_each_engine_holds(client: NodeClient) -> None:
    await client.ensure_engine(spec(), CHIEF)
    engine = await seen(
        client, lambda snapshot: next((one for one in snapshot.engines if one.memory_bytes), None), "what it holds"
    )

    assert engine.memory_bytes is not None and engine.memory_peak_bytes is not None
    assert 1_000_000 < engine.memory_bytes <= engine.memory_peak_bytes


async def test_snapshots_are_taken_anew_each_interval(client: NodeClient) -> None:
    first = await client.observe()
    assert await seen(client, lambda node: node.taken_at_s > first.taken_at_s, "a later snapshot")


async def test_refusals_say_why(client: NodeClient) -> None:
    await client.ensure_engine(spec(), Authority(epoch=5, config_revision=1))
    with pytest.raises(NodeRefusedError, match="epoch 4 refused") as stale:
        await client.ensure_engine(spec(), Authority(epoch=4, config_revision=1))
    with pytest.raises(NodeRefusedError, match="no engine nobody here") as unknown:
        await client.stop_engine(EngineId("nobody"), Authority(epoch=5, config_revision=1))
    other = replace(spec(engine_id="other"), model=replace(spec().model, artifact_id=ArtifactId("cd" * 32)))
    with pytest.raises(NodeRefusedError, match="does not hold") as missing:
        await client.ensure_engine(other, Authority(epoch=5, config_revision=1))

    assert [(one.value.status, one.value.code) for one in (stale, unknown, missing)] == [
        (409, "stale_order"),
        (404, "unknown_engine"),
        (422, "cannot_launch"),
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"spec":{},"authority":{"epoch":1,"config_revision":1}}'])
async def test_a_body_of_another_shape_is_422(client: NodeClient, settings: NodeSettings, body: bytes) -> None:
    async with unix_client(settings.paths.node_socket) as raw:
        answer = await raw.put("/node/v1/engines/x", content=body)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_request"


async def test_the_end_of_a_log_is_read_within_bounds_and_of_no_other_file(
    client: NodeClient, settings: NodeSettings
) -> None:
    await client.ensure_engine(spec(), CHIEF)
    await engine_in(client, "ready")
    (settings.paths.logs / "node.log").write_text("".join(f"line {number}\n" for number in range(50)))

    assert (await client.tail(None, 2)).text == "line 48\nline 49"
    assert "fault engine listens" in (await client.tail(ENGINE, 100)).text
    for engine_id in ("nobody", "..%2F..%2Fnode", "a..b"):
        with pytest.raises(NodeError):
            await client.tail(EngineId(engine_id), 10)
    with pytest.raises(NodeRefusedError, match="lines must be a number from 1 to 2000, not '2001'"):
        await client.tail(None, 2001)


async def test_shutting_down_with_stop_ends_the_engines_first(client: NodeClient, settings: NodeSettings) -> None:
    await client.ensure_engine(spec(), CHIEF)
    engine = await engine_in(client, "ready")
    await client.shutdown(engines="stop")

    assert identify(engine.pid or 0) is None
    await until(lambda: not settings.paths.node_socket.exists(), "the daemon has gone")
    with pytest.raises(NodeUnreachableError):
        await client.observe()


async def test_shutting_down_with_leave_leaves_them(client: NodeClient, settings: NodeSettings) -> None:
    await client.ensure_engine(spec(), CHIEF)
    engine = await engine_in(client, "ready")
    await client.shutdown(engines="leave")
    await until(lambda: not settings.paths.node_socket.exists(), "the daemon has gone")

    os.kill(engine.pid or 0, 0)


async def test_a_daemon_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="no node daemon answers"):
        await NodeClient(tmp_path / "no.sock").observe()


async def test_the_socket_is_private(client: NodeClient, settings: NodeSettings) -> None:
    assert settings.paths.node_socket.stat().st_mode & 0o077 == 0
