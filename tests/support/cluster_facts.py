"""Facts for tests of the control plane: machines, models on disk, and what an owner might ask for."""

from collections.abc import Sequence

from cluster.config_load import parse_config
from cluster.desired import Desired, WantedModel, desired_state
from inventory.catalog import ArtifactFormat, ArtifactId, HeldModel, ModelName, ModelRef
from inventory.hardware import Hardware, Host, MemoryPool, PoolId, PoolKind
from nodes.snapshot import (
    EngineEndpoint,
    EngineId,
    EngineKind,
    EngineLoad,
    EngineSnapshot,
    EngineState,
    InstalledEngine,
    NodeId,
    NodeSnapshot,
)

GIB = 2**30


def model_ref(name: str, version: str = "1") -> ModelRef:
    return ModelRef(ModelName(name), f"r{version}", ArtifactId(f"{name}-{version}"), None, None)


def held(name: str, size_bytes: int = GIB, format: ArtifactFormat = "gguf", version: str = "1") -> HeldModel:
    return HeldModel(model_ref(name, version), format, size_bytes, 1_700_000_000, 8192, frozenset({"chat"}))


def pool(kind: PoolKind, gib: int, others_gib: int | None = 0, reserved_gib: int = 0) -> MemoryPool:
    others = None if others_gib is None else others_gib * GIB
    return MemoryPool(PoolId("vram:0" if kind == "vram" else kind), kind, gib * GIB, others, reserved_gib * GIB)


def node(
    name: str,
    models: Sequence[HeldModel] = (),
    installed: Sequence[EngineKind] = ("llamacpp",),
    engines: Sequence[EngineSnapshot] = (),
    pools: Sequence[MemoryPool] | None = None,
) -> NodeSnapshot:
    host = Host("linux", "12", "x86_64", None, 4, 8, "boot-1")
    return NodeSnapshot(
        node_id=NodeId(name),
        zone="default",
        taken_at_s=1_800_000_000.0,
        hardware=Hardware(host, tuple(pools or [pool("ram", 64)]), (), None, None),
        installed=tuple(InstalledEngine(kind, "1") for kind in installed),
        engines=tuple(engines),
        models=tuple(models),
    )


def engine(
    engine_id: str,
    state: EngineState = "ready",
    revision: int = 1,
    kind: EngineKind = "llamacpp",
    since_s: float = 1_800_000_000.0,
    ref: ModelRef | None = None,
) -> EngineSnapshot:
    return EngineSnapshot(
        engine_id=EngineId(engine_id),
        kind=kind,
        engine_version="1",
        model=ref or model_ref(engine_id.rsplit(".", 2)[0]),
        state=state,
        reason="" if state == "ready" else f"is {state}",
        since_s=since_s,
        generation=1,
        config_revision=revision,
        pid=4242,
        adopted=False,
        endpoint=EngineEndpoint("127.0.0.1", 1, None),
        context_tokens=2048,
        load=EngineLoad(),
        progress_age_s=None,
        ready_after_s=1.0,
    )


def desired(text: str, revision: int = 1) -> Desired:
    """The desired state of a cluster.yaml whose first line is left out."""
    return desired_state(parse_config(f"version: 1\n{text}", "test", environment={}).config, revision)


def wanted_models(text: str) -> tuple[WantedModel, ...]:
    return desired(f"models:\n{text}").models
