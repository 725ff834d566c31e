"""Artifacts on a node's TLS port: who may copy, which part of which file, and what a slow peer costs others."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx2
import pytest
from fastapi import FastAPI, Request

from inventory.catalog import StoredModel
from nodes.artifact_api import CopyLimits, add_artifacts
from nodes.artifact_wire import file_path, manifest_path
from nodes.orders import ArtifactHolder
from nodes.peer import PeerRole, peer_host
from nodes.tls_access import may
from nodes.tls_contexts import client_context
from support.artifacts import hold_a_model, holding, listening
from support.gateway import engine_at
from support.tls import TestAuthority
from support.upstream import DONE, LAST_CHUNK, STREAM_HEAD, Asked, framed, scripted_upstream, token_event

SNI = {"sni_hostname": peer_host("node", "mac")}


async def ten_tokens(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    for number in range(10):
        writer.write(framed(token_event(str(number))))
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.write(framed(DONE) + LAST_CHUNK)


@dataclass
class Setup:
    ca: TestAuthority
    holder: ArtifactHolder
    model: StoredModel
    content: bytes

    def client(self, role: PeerRole = "node", timeout_s: float = 5.0) -> httpx2.AsyncClient:
        context = client_context(self.ca.identity(role, "asker"))
        return httpx2.AsyncClient(base_url=self.url, verify=context, trust_env=False, timeout=timeout_s)

    @property
    def url(self) -> str:
        return f"https://{self.holder.host}:{self.holder.port}"

    @property
    def file(self) -> str:
        return file_path(self.model.artifact.artifact_id, 0)


@pytest.fixture(params=[1.0])
async def setup(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Setup]:
    ca = TestAuthority(tmp_path)
    store, model = hold_a_model(tmp_path / "mac")
    content = store.main_path(model.artifact.artifact_id).read_bytes()
    limits = CopyLimits(copies=2 if request.param is None else 1, stuck_s=request.param or 60.0)
    async with (
        scripted_upstream(ten_tokens) as upstream,
        holding(ca, "mac", store, limits, [engine_at(upstream.address)]) as holder,
    ):
        yield Setup(ca, holder, model, content)


async def get(setup: Setup, path: str, role: PeerRole = "node", **headers: str) -> httpx2.Response:
    async with setup.client(role) as client:
        return await client.get(path, headers=headers, extensions=SNI)


async def once_not_busy(setup: Setup, deadline_s: float) -> httpx2.Response:
    async with asyncio.timeout(deadline_s):
        while (answer := await get(setup, setup.file)).status_code == 503:  # noqa: ASYNC110 - it is on the other side
            await asyncio.sleep(0.02)
        return answer


async def test_a_node_gets_the_manifest_and_the_bytes(setup: Setup) -> None:
    manifest = await get(setup, manifest_path(setup.model.artifact.artifact_id))
    whole = await get(setup, setup.file)

    assert manifest.json()["files"][0]["sha256"] == setup.model.artifact.files[0].sha256
    assert (whole.status_code, whole.content == setup.content) == (200, True)


async def test_a_part_is_what_was_asked_for(setup: Setup) -> None:
    size = len(setup.content)
    rest = await get(setup, setup.file, range=f"bytes={size - 10}-")
    middle = await get(setup, setup.file, range="bytes=5-14")
    beyond = await get(setup, setup.file, range=f"bytes={size}-")

    assert (rest.status_code, rest.content) == (206, setup.content[-10:])
    assert (middle.content, middle.headers["content-range"]) == (setup.content[5:15], f"bytes 5-14/{size}")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("role", ["gateway", "controller"])
async def test_the_controller_may_copy_too_and_a_gateway_may_not(setup: Setup, role: PeerRole) -> None:
    answer = await get(setup, setup.file, role, range="bytes=0-0")

    assert answer.status_code == {"gateway": 403, "controller": 206}[role]


async def test_nothing_but_what_a_manifest_lists_can_be_named(setup: Setup) -> None:
    held = setup.model.artifact.artifact_id
    answers = {
        path: (await get(setup, path)).status_code
        for path in (
            f"/artifacts/{held}/files/1",
            f"/artifacts/{'0' * 64}/manifest",
            f"/artifacts/{held}/files/-1",
            f"/artifacts/{held}/files/0?x=1",
            "/artifacts/..%2f..%2fnames%2fsmol/manifest",
            "/artifacts/",
        )
    }

    assert list(answers.values()) == [404, 404, 403, 403, 403, 403]
    assert not may("node", "GET", f"/artifacts/{held}/files/../manifest")  # clients tidy such paths themselves
    assert not may("node", "PUT", f"/artifacts/{held}/manifest")


async def test_a_peer_that_takes_nothing_loses_its_place_and_others_are_told_to_wait(setup: Setup) -> None:
    reader, writer = await _stuck(setup)
    during = await get(setup, setup.file)
    manifest = await get(setup, manifest_path(setup.model.artifact.artifact_id))
    began_s = monotonic()
    after = await once_not_busy(setup, deadline_s=10.0)

    assert monotonic() - began_s > 0.3  # it was the deadline that freed the place, not the end of the file
    assert (during.status_code, during.json()["error"]["code"]) == (503, "busy")
    assert manifest.status_code == 200
    assert after.content == setup.content
    writer.transport.abort()
    del reader


@pytest.mark.parametrize("setup", [60.0], indirect=True)  # longer than the test waits
async def test_a_peer_that_leaves_frees_its_place(setup: Setup) -> None:
    _, writer = await _stuck(setup)
    writer.transport.abort()

    assert (await once_not_busy(setup, deadline_s=5.0)).content == setup.content


@pytest.mark.parametrize("setup", [None], indirect=True)
async def test_token_streams_go_on_beside_a_slow_copy_and_a_fast_one(setup: Setup) -> None:
    _, slow = await _stuck(setup)
    copying = asyncio.create_task(get(setup, setup.file))
    async with setup.client("gateway") as client:
        chat = await client.post("/engines/toy-1/v1/chat/completions", json={}, extensions=SNI)
    slow.transport.abort()

    assert chat.content == b"".join(token_event(str(number)) for number in range(10)) + DONE
    assert (await copying).content == setup.content


async def _stuck(setup: Setup) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer that asks for a file and reads only the head of the answer."""
    context: ssl.SSLContext = client_context(setup.ca.identity("node", "slow"))
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # or the kernel would take the whole file for it
    small.connect((setup.holder.host, setup.holder.port))
    reader, writer = await asyncio.open_connection(
        sock=small, ssl=context, server_hostname=SNI["sni_hostname"], limit=1024
    )
    writer.write(f"GET {setup.file} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_peer_that_is_no_member_any_more_gets_no_more_of_a_file(tmp_path: Path) -> None:
    ca, asked = TestAuthority(tmp_path), 0
    store, model = hold_a_model(tmp_path / "mac")
    app = FastAPI()

    def at_first(request: Request) -> bool:
        nonlocal asked
        asked += 1
        return request.state.peer.name == "asker" and asked < 10

    add_artifacts(app, store, CopyLimits(ask_again_s=0.0), at_first)
    async with listening(ca, "mac", app) as holder:
        setup = Setup(ca, holder, model, b"")
        with pytest.raises(httpx2.RemoteProtocolError):
            await get(setup, setup.file)

        assert (await get(setup, setup.file)).status_code == 403
