"""A state directory with which the gateway serves the mock engines without head and node: snapshots, a key, secrets."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cluster.link import LinkKind
from cluster.snapshot import (
    SCHEMA_VERSION,
    AccessSnapshot,
    ClusterSnapshot,
    KeyRecord,
    ModelView,
    NodeAddress,
    NodeView,
)
from inventory.catalog import ArtifactId, ModelName, ModelRef
from inventory.hardware import Hardware, Host
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.rates import Rates
from nodes.snapshot import EngineEndpoint, EngineId, EngineLoad, EngineSnapshot, NodeId, NodeSnapshot

MODEL = ModelRef(ModelName("bench"), "0" * 12, ArtifactId("0" * 64), tokenizer_hash=None, template_hash=None)
KEY_ID = "bench"
NODE = "bench"
RATES = Rates(20_000.0, 32_000.0, 0.005, 0.0002, 1e-8)  # of any fast engine: what matters is that they are known


@dataclass(frozen=True, slots=True)
class GatewayState:
    paths: StatePaths
    key_file: Path


def write_gateway_state(root: Path, engine_ports: Sequence[int], node: NodeAddress | None = None) -> GatewayState:
    """What a gateway would have persisted from a head that published two ready engines and one key.

    With `node` the engines are of another machine, behind the TLS port there.
    """
    paths = StatePaths.at(root).ensure()
    engine_secret = paths.secrets / "engine"
    write_secret(engine_secret, secrets.token_urlsafe(32))
    pepper, key = secrets.token_urlsafe(32), f"pl_{KEY_ID}_{secrets.token_urlsafe(32)}"
    key_file = root / "client.key"
    write_secret(paths.pepper, pepper)
    write_secret(key_file, key)
    cluster, access = cluster_snapshot(engine_ports, engine_secret, node), access_snapshot(paths.pepper, pepper, key)
    write_secret(paths.gateway / "cluster.json", msgspec.json.encode(cluster).decode())
    write_secret(paths.gateway / "access.json", msgspec.json.encode(access).decode())
    return GatewayState(paths, key_file)


def cluster_snapshot(
    engine_ports: Sequence[int], secret_file: Path, address: NodeAddress | None = None
) -> ClusterSnapshot:
    now_s = time.time()
    engines = tuple(_engine(index, port, secret_file, now_s) for index, port in enumerate(engine_ports))
    host = Host("linux", "", "", None, None, None, None)
    hardware = Hardware(host, pools=(), accelerators=(), disk=None, cpu_load=None)
    link: LinkKind = "local" if address is None else "https"
    node = NodeSnapshot(NodeId(NODE), "default", now_s, hardware, installed=(), engines=engines, models=())
    return ClusterSnapshot(
        schema=SCHEMA_VERSION,
        cluster="bench",
        epoch=1,
        sequence=1,
        config_revision=1,
        taken_at_s=now_s,
        nodes=(NodeView(node.node_id, "ready", "", now_s, link, node, address=address),),
        models=(ModelView(MODEL.name, MODEL, "ready", "", int(now_s), 8192, frozenset({"chat"})),),
    )


def _engine(index: int, port: int, secret_file: Path, now_s: float) -> EngineSnapshot:
    return EngineSnapshot(
        engine_id=EngineId(f"bench-{index}"),
        kind="vllm",
        engine_version=None,
        model=MODEL,
        state="ready",
        reason="",
        since_s=now_s,
        generation=1,
        config_revision=1,
        pid=None,
        adopted=False,
        endpoint=EngineEndpoint("127.0.0.1", port, str(secret_file)),
        context_tokens=8192,
        load=EngineLoad(slots=256),
        progress_age_s=None,
        ready_after_s=None,
        rates=RATES,
    )


def access_snapshot(pepper_file: Path, pepper: str, key: str) -> AccessSnapshot:
    digest = hmac.new(pepper.encode(), key.encode(), hashlib.sha256).hexdigest()
    record = KeyRecord(KEY_ID, digest, "user", "bench", "bench", "private", created_s=int(time.time()))
    return AccessSnapshot(SCHEMA_VERSION, epoch=1, sequence=1, pepper_file=str(pepper_file), keys=(record,))
