"""A model on its way between the machines of a cluster: head, members, join listener and TLS ports, all real."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx2
import msgspec
import pytest

from cli.lan_pull import NotInClusterError, from_cluster
from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.controller import ControllerTimes
from cluster.join_client import Wish, fetch_authority, join
from cluster.join_token import parse_token
from cluster.local_link import LocalLink
from cluster.service import HeadSettings, run_head
from cluster.snapshot import ClusterSnapshot
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from nodes.artifact_wire import manifest_path
from nodes.daemon import NodeSettings
from nodes.engine_envs import MARKER, EngineEnvironment
from nodes.head_client import HeadPlace
from nodes.identity import IdentityFiles
from nodes.join_wire import HEAD_NAME
from nodes.peer import peer_host
from nodes.relay.sockets import listen_tcp
from nodes.service import run_node
from nodes.snapshot import NodeId
from nodes.tls_contexts import client_context, trusting
from support.artifacts import hold_a_model, store_at
from support.nodes import until

SERVER, MAC = NodeId("server"), NodeId("mac")
CONFIG = """
version: 1
cluster: {{name: home, listen: 0.0.0.0}}
join: {{port: 0}}
models:
  smol: {{source: "packaged:smollm2", engine: llamacpp, context: 512, on: [{node}]}}
"""


@pytest.fixture(autouse=True)
def an_engine_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed as far as anybody can see; these nodes have no adapter that would start it."""
    monkeypatch.setenv("POTLUCK_ENGINES_DIR", str(tmp_path / "engines"))
    (tmp_path / "engines/llamacpp/bin").mkdir(parents=True)
    (tmp_path / "engines/llamacpp/bin/python").symlink_to(sys.executable)
    environment = EngineEnvironment("llamacpp", "1", sys.executable, "lock", 0.0)
    (tmp_path / "engines/llamacpp" / MARKER).write_bytes(msgspec.json.encode(environment))


class Cluster:
    def __init__(self, server: StatePaths, mac: StatePaths) -> None:
        self.server, self.mac = server, mac
        self.admin = AdminClient(server.head_socket)

    async def until(self, reached: str) -> ClusterSnapshot:
        """Until the model's reason holds these words, or for "held everywhere" until both machines hold it."""
        end = monotonic() + 20
        while monotonic() < end:
            try:
                snapshot = await self.admin.snapshot()
            except AdminRefusedError:
                continue
            holders = [one for one in snapshot.nodes if one.snapshot and one.snapshot.models]
            if (len(holders) == 2) if reached == "held everywhere" else (reached in snapshot.models[0].reason):
                return snapshot
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within 20 s: {reached}: {snapshot.models}")


@asynccontextmanager
async def cluster(root: Path, wanted_on: NodeId) -> AsyncIterator[Cluster]:
    server, mac = StatePaths.at(root / "server").ensure(), StatePaths.at(root / "mac").ensure()
    server.config_file.write_text(CONFIG.format(node=wanted_on))
    async with AsyncExitStack() as running, asyncio.timeout(60):
        await running.enter_async_context(node(server, SERVER))
        await running.enter_async_context(head(server))
        made = await AdminClient(server.head_socket).create_token(MAC, 60, "127.0.0.1")
        _, _, place, _, text = made.command.split()
        head_place, token = HeadPlace("127.0.0.1", int(place.rpartition(":")[2])), parse_token(text)
        await join(
            mac, head_place, token, await fetch_authority(head_place, token), Wish("", "", "127.0.0.1", free_port())
        )
        await running.enter_async_context(node(mac, MAC))
        yield Cluster(server, mac)


@asynccontextmanager
async def node(paths: StatePaths, name: NodeId) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = NodeSettings(paths, name, [HostProbe(paths.models)], store_at(paths.models), (), SystemClock())
    serving = asyncio.create_task(run_node(settings, stop))
    try:
        await until(lambda: serving.done() or paths.node_socket.exists(), "the node serves")
        yield
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def head(paths: StatePaths) -> AsyncIterator[None]:
    stop, links = asyncio.Event(), (LocalLink(SERVER, paths.node_socket),)
    settings = HeadSettings(paths, None, ControllerTimes(tick_s=0.05))
    serving = asyncio.create_task(run_head(settings, links, SystemClock(), stop))
    admin = AdminClient(paths.head_socket)
    try:
        await until(lambda: serving.done() or paths.head_socket.exists(), "the head serves")
        async with asyncio.timeout(20):
            while (await admin.create_token("nobody", 60, "127.0.0.1")).command.split()[2].endswith(":0"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # until the join listener has its port: seen from outside only
        yield
    finally:
        stop.set()
        await serving


def free_port() -> int:
    with listen_tcp("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(("holder", "wanted_on"), [("server", MAC), ("mac", SERVER)])
async def test_a_machine_that_should_serve_a_model_gets_it_from_the_one_that_holds_it(
    tmp_path: Path, holder: str, wanted_on: NodeId
) -> None:
    _, model = hold_a_model(tmp_path / holder)
    async with cluster(tmp_path, wanted_on) as running:
        snapshot = await running.until("held everywhere")

    refs = {held.ref for view in snapshot.nodes if view.snapshot for held in view.snapshot.models}
    assert [ref.artifact_id for ref in refs] == [model.artifact.artifact_id]


async def test_a_copy_that_cannot_be_made_is_told_to_the_models_owner(tmp_path: Path) -> None:
    hold_a_model(tmp_path / "server")
    blob = next((tmp_path / "server/models/blobs").iterdir())
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(4_000_000)
        file.write(b"ROT")
    async with cluster(tmp_path, MAC) as running:
        snapshot = await running.until("not copied from server to mac")

    assert snapshot.models[0].state == "unplaced"
    assert "other bytes of smol.gguf" in snapshot.models[0].reason


async def test_a_member_pulls_by_name_what_another_machine_holds(tmp_path: Path) -> None:
    _, model = hold_a_model(tmp_path / "server")
    async with cluster(tmp_path, SERVER) as running:
        await running.until("")
        (copied,) = await asyncio.to_thread(from_cluster, running.mac, "smol", "mine", None)
        from_elsewhere = await asyncio.to_thread(from_cluster, running.mac, "hf:nobody/pulled-this", None, None)
        with pytest.raises(NotInClusterError, match="no machine of this cluster holds smal"):
            await asyncio.to_thread(from_cluster, running.mac, "smal", None, None)
        with pytest.raises(NotInClusterError, match="as mlx"):
            await asyncio.to_thread(from_cluster, running.mac, "smol", None, "mlx")

    assert (copied.name, copied.artifact.artifact_id) == ("mine", model.artifact.artifact_id)
    assert from_elsewhere == ()


async def test_the_heads_artifacts_are_for_members_only(tmp_path: Path) -> None:
    _, model = hold_a_model(tmp_path / "server")
    async with cluster(tmp_path, SERVER) as running:
        port = (await running.admin.create_token("nobody", 60, "127.0.0.1")).command.split()[2].rpartition(":")[2]
        files = IdentityFiles.at(running.mac.identity, "node")
        gateway = IdentityFiles.at(running.server.identity, "gateway")
        contexts = (client_context(files), trusting(files.ca.read_text()), client_context(gateway))

        async def ask(number: int) -> int:
            async with httpx2.AsyncClient(verify=contexts[number], trust_env=False) as client:
                url = f"https://127.0.0.1:{port}{manifest_path(model.artifact.artifact_id)}"
                sni = {"sni_hostname": peer_host("controller", HEAD_NAME)}
                return (await client.get(url, extensions=sni)).status_code

        member, stranger, other_role = await ask(0), await ask(1), await ask(2)
        await running.admin.remove_node(MAC)
        removed = await ask(0)

    assert (member, stranger, other_role, removed) == (200, 403, 403, 403)
