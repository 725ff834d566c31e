"""An engine of another machine, reached through its node's TLS port with the gateway's own certificate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from cluster.snapshot import NodeAddress
from nodes.snapshot import NodeId
from support.gateway import MODEL, Running, access_with, cluster_of, engine_at, key_record, running_gateway
from support.leaks import CANARY
from support.tls import NODE, Port, running_port, serial_of
from support.upstream import (
    STREAM_HEAD,
    Asked,
    Script,
    Upstream,
    answer_kindly,
    framed,
    scripted_upstream,
    token_event,
)

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"hello {CANARY}"}]


@dataclass
class Cluster:
    gateway: Running
    port: Port
    engine: Upstream

    def claim_node(self, name: str, sequence: int) -> None:
        """Publish that the engine is on the machine of this name."""
        snapshot = cluster_of([engine_at(self.engine.address)], sequence=sequence)
        node = snapshot.nodes[0]
        address = NodeAddress("127.0.0.1", self.port.port)
        elsewhere = replace(node, node_id=NodeId(name), link="https", address=address)
        self.gateway.view.install_cluster(replace(snapshot, nodes=(elsewhere,)))


@asynccontextmanager
async def cluster(root: Path, script: Script) -> AsyncIterator[Cluster]:
    async with scripted_upstream(script) as engine, running_port(root / "node") as port:
        port.engines[:] = [engine_at(engine.address)]
        async with running_gateway(root, []) as gateway:
            port.ca.identity("gateway", "gateway", gateway.paths.identity)
            running = Cluster(gateway, port, engine)
            running.claim_node(NODE, sequence=2)
            yield running


async def ask(running: Cluster, stream: bool = False) -> str:
    async with running.gateway.openai() as client:
        if not stream:
            whole = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            return whole.choices[0].message.content or ""
        parts = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in parts if chunk.choices])


async def test_answers_come_through_the_nodes_tls_port(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer_kindly) as running:
        assert await ask(running) == "Hello"
        assert await ask(running, stream=True) == "Hello"
        assert running.engine.asked[0].head.startswith(b"POST /v1/chat/completions ")


async def test_a_machine_that_is_not_the_one_expected_gets_no_request(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer_kindly) as running:
        running.claim_node("another", sequence=3)
        with pytest.raises(openai.APIStatusError) as refused:
            await ask(running)

    assert refused.value.status_code in (502, 503)
    assert running.engine.asked == []


async def test_a_gateway_without_an_identity_says_so(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer_kindly) as running:
        for file in running.gateway.paths.identity.iterdir():
            file.unlink()
        with pytest.raises(openai.APIStatusError):
            await ask(running)

    assert running.engine.asked == []


async def test_a_node_whose_certificate_is_revoked_is_cut_in_mid_stream(tmp_path: Path) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")))

    async with cluster(tmp_path, script) as running, running.gateway.openai() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        node = serial_of(running.port.identity)
        access = access_with(running.gateway.paths, (key_record(),), sequence=2)
        running.gateway.view.install_access(replace(access, revoked=(node,)))
        async with asyncio.timeout(5):
            with pytest.raises(openai.APIError):
                await anext(chunks)
            await running.engine.until(lambda engine: engine.open_now == 0)
        with pytest.raises(openai.APIStatusError):
            await ask(running)
        assert len(running.engine.asked) == 1


async def test_a_client_that_leaves_frees_the_engine_behind_both_hops(tmp_path: Path) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")))

    async with cluster(tmp_path, script) as running, running.gateway.openai() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await running.engine.until(lambda engine: engine.open_now == 0)
