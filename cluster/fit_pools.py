"""Which memory of a machine an engine kind uses, and what it may ask of it: the bridge from reports to fit. Pure."""

from cluster.fit import KvBits
from inventory.catalog import ModelShape
from inventory.hardware import MemoryPool
from nodes.snapshot import EngineKind, NodeSnapshot

KV_BITS_OF: dict[EngineKind, tuple[KvBits, ...]] = {"llamacpp": (16, 8), "vllm": (16,), "mlx": (16,)}
_GPU_OF: dict[EngineKind, frozenset[str]] = {
    "llamacpp": frozenset(("nvidia", "apple")),
    "vllm": frozenset(("nvidia",)),
    "mlx": frozenset(("apple",)),
}


def pools_of(snapshot: NodeSnapshot, kind: EngineKind) -> tuple[MemoryPool, ...]:
    """llama.cpp splits a model between GPU and main memory; vLLM and MLX use a GPU's memory where there is one."""
    pools = snapshot.hardware.pools
    if kind == "llamacpp":
        return pools
    mine = tuple(pool for pool in pools if pool.kind == ("vram" if kind == "vllm" else "unified"))
    return mine or tuple(pool for pool in pools if pool.kind != "vram")


def accelerated(snapshot: NodeSnapshot, kind: EngineKind) -> bool:
    """Whether engines of this kind compute on a GPU of the machine."""
    return any(gpu.vendor in _GPU_OF[kind] for gpu in snapshot.hardware.accelerators)


def bare_shape(weight_bytes: int) -> ModelShape:
    """Of a model that nothing is known of but its size."""
    return ModelShape("unknown", 0, 0, None, None, None, None, None, "unknown type", weight_bytes)
