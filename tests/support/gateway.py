"""The real gateway in this loop, on a real socket, with snapshots made for a test."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anthropic
import httpx2
import ollama
import openai
import uvicorn

from cluster.snapshot import AccessSnapshot, ClusterSnapshot, KeyRecord, ModelView, NodeView
from inventory.catalog import ArtifactId, Capability, ModelName, ModelRef
from inventory.clock import Clock, SystemClock
from inventory.hardware import Hardware, Host
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.relay.contract import Address
from nodes.snapshot import (
    EngineEndpoint,
    EngineId,
    EngineKind,
    EngineLoad,
    EngineSnapshot,
    EngineState,
    NodeId,
    NodeSnapshot,
)
from router.accounting import RecordSink, RequestRecord
from router.batches.store import BatchStore
from router.cache_store import CacheStore
from router.knowledge.opening import Documents
from router.knowledge.recorder import Recorder
from router.knowledge.room import OpenRoom
from router.service import Gateway, build_gateway, listen, with_documents
from router.settings import GatewaySettings, TraceSettings
from router.view import GatewayView
from router.waiting_caps import WaitingCaps
from support.engines import FaultEngine
from support.nodes import until
from support.trails import TrailHere

PEPPER = "a pepper for tests"
KEY = "pl_owner1_" + "s" * 43
MODEL = "toy"


def model_ref(name: str = MODEL) -> ModelRef:
    return ModelRef(ModelName(name), "0" * 12, ArtifactId("0" * 64), None, None)


def engine_at(
    address: Address | None,
    engine_id: str = "toy-1",
    model: str = MODEL,
    state: EngineState = "ready",
    secret_file: Path | None = None,
    context_tokens: int = 2048,
    kind: EngineKind = "llamacpp",
    slots: int = 4,
) -> EngineSnapshot:
    endpoint = (
        EngineEndpoint(address.host, address.port, str(secret_file) if secret_file else None) if address else None
    )
    return EngineSnapshot(
        engine_id=EngineId(engine_id), kind=kind, engine_version="1", model=model_ref(model), state=state,
        reason="for a test", since_s=0, generation=1, config_revision=1, pid=1, adopted=False, endpoint=endpoint,
        context_tokens=context_tokens, load=EngineLoad(slots=slots), progress_age_s=None, ready_after_s=None,
    )  # fmt: skip


def served_by(engine: FaultEngine, slots: int = 4) -> EngineSnapshot:
    """A fault engine, as a gateway is told of it."""
    return engine_at(Address("127.0.0.1", engine.port), kind=engine.kind, slots=slots)


def node_with(engines: Sequence[EngineSnapshot], taken_at_s: float = 100.0) -> NodeView:
    hardware = Hardware(
        Host("linux", "", "", None, None, None, None), pools=(), accelerators=(), disk=None, cpu_load=None
    )
    snapshot = NodeSnapshot(NodeId("here"), "default", taken_at_s, hardware, (), tuple(engines), ())
    return NodeView(NodeId("here"), "ready", "", 0.0, "local", snapshot)


WRITES: frozenset[Capability] = frozenset({"chat", "completion", "tools"})
EVERYTHING: frozenset[Capability] = WRITES | {"embed", "rerank"}  # no real model can do all of it


def cluster_of(
    engines: Sequence[EngineSnapshot],
    models: Iterable[str] = (MODEL,),
    sequence: int = 1,
    abilities: Mapping[str, frozenset[Capability]] | None = None,
) -> ClusterSnapshot:
    """Models write, but for those of which `abilities` says what they do."""
    can = abilities or {}
    return ClusterSnapshot(
        schema=1, cluster="test", epoch=1, sequence=sequence, config_revision=1, taken_at_s=100.0,
        nodes=(node_with(engines),),
        models=tuple(
            ModelView(ModelName(name), model_ref(name), "ready", "", 7, 2048, can.get(name, WRITES))
            for name in models
        ),
    )  # fmt: skip


def key_record(key: str = KEY, expires_s: int | None = None) -> KeyRecord:
    digest = hmac.new(PEPPER.encode(), key.encode(), hashlib.sha256).hexdigest()
    return KeyRecord(key.split("_")[1], digest, "admin", "home", "family", "private", 0, expires_s)


def access_with(paths: StatePaths, keys: Sequence[KeyRecord], sequence: int = 1) -> AccessSnapshot:
    write_secret(paths.pepper, PEPPER)
    return AccessSnapshot(1, 1, sequence, str(paths.pepper), tuple(keys))


@dataclass
class Records:
    """A sink that keeps what it is given."""

    kept: list[RequestRecord] = field(default_factory=list)

    def record(self, records: Sequence[RequestRecord]) -> None:
        self.kept.extend(records)


@dataclass
class Running:
    gateway: Gateway
    view: GatewayView
    address: Address
    records: Records
    paths: StatePaths

    @property
    def base_url(self) -> str:
        return f"http://{self.address.host}:{self.address.port}"

    def finished(self) -> list[RequestRecord]:
        self.gateway.dispatcher.context.flush()
        return self.records.kept

    @property
    def in_flight(self) -> int:
        return self.gateway.dispatcher.context.ledger.total

    @property
    def waiting(self) -> int:
        """Requests without an engine, of all models."""
        return sum(self.gateway.dispatcher.context.room.waiting.values())

    async def until_waiting(self, count: int) -> None:
        await until(lambda: self.waiting == count, f"{count} wait")

    async def until_idle(self, deadline_s: float = 30.0) -> None:
        async with asyncio.timeout(deadline_s):
            await self.gateway.dispatcher.context.wait_until_idle()

    # Clients have no TLS to verify: to load what all browsers trust would take each of them 27 ms of a processor.

    def openai(self, key: str = KEY) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.base_url}/v1", api_key=key, max_retries=0, _strict_response_validation=True,
            http_client=openai.DefaultAsyncHttpxClient(verify=False),
        )  # fmt: skip

    def anthropic(self, key: str = KEY) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            base_url=self.base_url, api_key=key, max_retries=0, _strict_response_validation=True,
            http_client=anthropic.DefaultAsyncHttpxClient(verify=False),
        )  # fmt: skip

    def ollama(self, key: str = KEY) -> ollama.AsyncClient:
        headers = {"authorization": f"Bearer {key}"}
        return ollama.AsyncClient(host=self.base_url, headers=headers, timeout=60, trust_env=False, verify=False)

    def http(self, key: str | None = KEY) -> httpx2.AsyncClient:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.AsyncClient(base_url=self.base_url, headers=headers, trust_env=False, timeout=60, verify=False)


@asynccontextmanager
async def running_gateway(
    root: Path,
    engines: Sequence[EngineSnapshot],
    models: Iterable[str] = (MODEL,),
    slow_reader_s: float = 30.0,
    total_s: float = 60.0,
    silence_s: tuple[float, float] = (30.0, 12.0),
    wait_s: float = 60.0,
    waiting: WaitingCaps | None = None,
    sinks: tuple[RecordSink, ...] = (),
    cache: CacheStore | None = None,
    reading_s: float = 9.0,
    abilities: Mapping[str, frozenset[Capability]] | None = None,
    header_s: float = 10.0,
    clock: Clock | None = None,
    traces: TraceSettings | None = None,
    open_room: OpenRoom | None = None,
    recorder: Recorder | None = None,
) -> AsyncIterator[Running]:
    """Serves until the block ends, and leaves nothing behind. `silence_s`: before the first token, and after it."""
    paths = StatePaths.at(root / "state").ensure()
    settings = GatewaySettings(paths, sweep_s=0.02, slow_reader_s=slow_reader_s, total_s=total_s, header_s=header_s)
    settings = replace(settings, reading_s=reading_s, traces=traces)
    settings = replace(settings, wait_s=wait_s, keepalive_s=0.1, failed_patience_s=0.1)
    settings = replace(settings, waiting=waiting or WaitingCaps(), connect_s=10.0)  # this loop may be busy with clients
    settings = replace(settings, first_token_s=silence_s[0], stall_s=silence_s[1], gone_s=min(3.0, silence_s[1]))
    view, records = GatewayView(clock or SystemClock()), Records()
    batches = BatchStore(paths)
    gateway = build_gateway(settings, view, (records, *sinks), clock, cache, batches)
    trail = TrailHere.at(paths) if open_room is not None and recorder is None else None
    gateway = with_documents(gateway, open_room, recorder or trail)
    assert gateway.batches is not None
    view.install_access(access_with(paths, (key_record(),)))
    view.install_cluster(cluster_of(engines, models, abilities=abilities))
    listener = listen("127.0.0.1", 0)
    host, port = listener.getsockname()[:2]
    server = gateway.server()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tasks = [asyncio.create_task(gateway.batches.runner.run())]
    if isinstance(gateway.documents, Documents):
        tasks.append(asyncio.create_task(gateway.documents.run()))
    try:
        await until(lambda: server.started or serving.done(), "it listens")
        yield Running(gateway, view, Address(host, port), records, paths)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await _end(server, serving)
        if isinstance(gateway.documents, Documents):
            await gateway.documents.close()
        gateway.close()
        batches.close()
        if trail is not None:
            trail.close()


async def _end(server: uvicorn.Server, serving: "asyncio.Task[None]") -> None:
    """At once. By itself it would look ten times a second whether it should, and then sleep for as long."""
    for accepting in server.servers:
        accepting.close()
    for connection in tuple(server.server_state.connections):
        connection.transport.abort()
    serving.cancel()
    _, late = await asyncio.wait({serving, *server.server_state.tasks}, timeout=2)
    for task in late:
        task.cancel()
