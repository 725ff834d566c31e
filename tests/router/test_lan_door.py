"""The endpoint on a network: HTTPS beside plain HTTP on loopback, by a real gateway process's parts."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.identity import IdentityFiles
from nodes.role_lock import running
from nodes.tls_contexts import trusting
from router.service import run_gateway
from router.settings import GatewaySettings, LanDoor
from support.gateway import KEY, access_with, cluster_of, key_record
from support.nodes import until
from support.tls import TestAuthority


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def gateway(paths: StatePaths, door: LanDoor) -> AsyncIterator[None]:
    """One that knows a key and a cluster from an earlier life."""
    write_secret(paths.gateway / "access.json", msgspec.json.encode(access_with(paths, (key_record(),))).decode())
    write_secret(paths.gateway / "cluster.json", msgspec.json.encode(cluster_of([])).decode())
    stop = asyncio.Event()
    serving = asyncio.create_task(run_gateway(GatewaySettings(paths, drain_s=0.1, lan=door), stop))
    try:
        await until(lambda: serving.done() or running(paths.run, "gateway"), "the gateway runs")
        await until(lambda: serving.done() or answers(door.port), "it listens on the network", deadline_s=10)
        yield
    finally:
        stop.set()
        await serving


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def client(door: LanDoor, ca_pem: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"https://localhost:{door.port}", verify=trusting(ca_pem), trust_env=False)


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


async def test_the_clusters_certificate_is_shown_and_keys_are_asked_for(paths: StatePaths, tmp_path: Path) -> None:
    ca, door = TestAuthority(tmp_path), LanDoor("127.0.0.1", free_port())
    ca.identity("gateway", "gateway", paths.identity)
    async with gateway(paths, door), client(door, ca.authority.certificate_pem) as https:
        stranger = await https.get("/v1/models")
        known = await https.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})

    assert (stranger.status_code, known.status_code) == (401, 200)


async def test_plain_http_is_not_spoken_on_the_network(paths: StatePaths, tmp_path: Path) -> None:
    door = LanDoor("127.0.0.1", free_port())
    TestAuthority(tmp_path).identity("gateway", "gateway", paths.identity)
    async with gateway(paths, door):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()


async def test_a_renewed_certificate_is_shown_without_a_restart(paths: StatePaths, tmp_path: Path) -> None:
    first, second = TestAuthority(tmp_path / "first"), TestAuthority(tmp_path / "second")
    door = LanDoor("127.0.0.1", free_port())
    first.identity("gateway", "gateway", paths.identity)
    async with gateway(paths, door):
        second.identity("gateway", "gateway", paths.identity)
        async with asyncio.timeout(15), client(door, second.authority.certificate_pem) as https:
            while True:
                try:
                    answer = await https.get("/healthz")
                    break
                except httpx2.ConnectError:
                    await asyncio.sleep(0.1)

    assert answer.status_code == 200


async def test_an_operator_may_bring_a_certificate(paths: StatePaths, tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    own = ca.identity("gateway", "anything")
    brought = IdentityFiles(tmp_path / "own.key", tmp_path / "own.crt", own.ca)
    shutil.copy(own.key, brought.key)
    shutil.copy(own.certificate, brought.certificate)
    door = LanDoor("127.0.0.1", free_port(), brought.certificate, brought.key)
    async with gateway(paths, door), client(door, ca.authority.certificate_pem) as https:
        answer = await https.get("/healthz")

    assert answer.status_code == 200
