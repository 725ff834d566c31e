"""Which memory of a machine an engine kind uses, and what it may ask of it: the bridge from reports to fit. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from cluster.fit import KvBits
from cluster.fit_verdict import Resident, Room
from inventory.catalog import ModelShape
from inventory.hardware import MemoryPool, default_reserve
from nodes.snapshot import EngineKind, NodeSnapshot

KV_BITS_OF: dict[EngineKind, tuple[KvBits, ...]] = {
    "llamacpp": (16, 8),
    "vllm": (16,),
    "mlx": (16,),
    "encoder": (16,),  # it keeps nothing
}
_GPU_OF: dict[EngineKind, frozenset[str]] = {
    "llamacpp": frozenset(("nvidia", "apple")),
    "vllm": frozenset(("nvidia",)),
    "mlx": frozenset(("apple",)),
    "encoder": frozenset(),
}


def pools_of(snapshot: NodeSnapshot, kind: EngineKind) -> tuple[MemoryPool, ...]:
    """llama.cpp splits a model between GPU and main memory; vLLM and MLX use a GPU's memory where there is one, and the
    encoder none."""
    pools = snapshot.hardware.pools
    if kind == "llamacpp":
        return pools
    mine = tuple(pool for pool in pools if pool.kind == ("vram" if kind == "vllm" else "unified"))
    return mine or tuple(pool for pool in pools if pool.kind != "vram")


def room_of(
    snapshot: NodeSnapshot,
    kind: EngineKind,
    holders: Iterable[tuple[EngineKind, Resident]],
    reserve_bytes: int | None = None,
    slack: bool = False,
) -> Room | None:
    """What engines of `kind` may hold on this machine, and who of `holders` is there; None where it cannot be read.

    `reserve_bytes` is kept free of main memory at the least. With `slack`, a part of what is kept free counts too: what
    runs is not stopped because a browser has grown.
    """
    pools = pools_of(snapshot, kind)
    budget_bytes = 0
    for pool in pools:
        size = _budget(pool, reserve_bytes)
        if size is None:
            return None
        budget_bytes += size + (_slack(pool) if slack else 0)
    names = {pool.pool_id for pool in pools}
    there = (one for other, one in holders if names & {pool.pool_id for pool in pools_of(snapshot, other)})
    return Room(budget_bytes, tuple(there))


def _budget(pool: MemoryPool, reserve_bytes: int | None) -> int | None:
    if reserve_bytes is None or pool.kind == "vram":
        return pool.budget_bytes
    return replace(pool, reserved_bytes=max(pool.reserved_bytes, reserve_bytes)).budget_bytes


def _slack(pool: MemoryPool) -> int:
    """Half of what an operating system is left with at the least."""
    return min(pool.reserved_bytes, default_reserve(pool.total_bytes)) // 2


def accelerated(snapshot: NodeSnapshot, kind: EngineKind) -> bool:
    """Whether engines of this kind compute on a GPU of the machine."""
    return any(gpu.vendor in _GPU_OF[kind] for gpu in snapshot.hardware.accelerators)


def bare_shape(weight_bytes: int) -> ModelShape:
    """Of a model that nothing is known of but its size."""
    return ModelShape("unknown", 0, 0, None, None, None, None, None, "unknown type", weight_bytes)
