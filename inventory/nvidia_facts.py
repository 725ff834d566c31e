"""What NVIDIA's driver said about its GPUs -> pools and accelerators. Pure: `probe_nvidia.py` does the asking.

A GPU without memory of its own (DGX Spark, Jetson) has the machine's main memory as its pool. Asked for its memory it
answers "not supported" (leptonai/gpud#1170, XuehaiPan/nvitop#208, nvidia-cosmos/cosmos-reason1#61) or, with other
drivers, names all of main memory (Syllo/nvtop#463); what each process allocated it tells (Syllo/nvtop#511). So such
chips are known by name. On any other card "not supported" is a fault, and main memory would be a wrong budget.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inventory.hardware import Accelerator, AcceleratorActivity, HostMemory, MemoryPool, PoolId, reserve
from inventory.probe import Reading

UNIFIED = PoolId("unified")
_INTEGRATED = re.compile(r"\b(GB10|N1X|Jetson|Orin|Tegra|Thor|Xavier)\b", re.IGNORECASE)
_LEAST_RESERVE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class GpuMemory:
    total_bytes: int
    used_bytes: int  # by everybody, with what the driver keeps for itself


@dataclass(frozen=True, slots=True)
class GpuProcess:
    pid: int
    used_bytes: int | None  # None where the driver does not tell (Windows and WSL 2: NVML_VALUE_NOT_AVAILABLE)


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU, or one MIG instance of it. None is what the driver does not tell."""

    pool_id: PoolId
    name: str
    compute: str | None
    memory: GpuMemory | None
    processes: tuple[GpuProcess, ...] | None
    activity: AcceleratorActivity | None = None

    @property
    def is_integrated(self) -> bool:
        return _INTEGRATED.search(self.name) is not None


@dataclass(frozen=True, slots=True)
class DriverFacts:
    version: str | None
    gpus: tuple[GpuFacts, ...]
    warnings: tuple[str, ...] = ()


def reading_of(
    facts: DriverFacts, own_pids: frozenset[int], host: HostMemory | None, reserved_bytes: int | None
) -> Reading:
    """`host` is main memory, needed where a GPU is integrated. `reserved_bytes` is the operator's word on it."""
    pools: dict[PoolId, MemoryPool] = {}
    accelerators: list[Accelerator] = []
    activity = tuple(gpu.activity for gpu in facts.gpus if gpu.activity is not None)
    warnings = list(facts.warnings)
    shared = _unified_pool(facts.gpus, own_pids, host, reserved_bytes)
    for gpu in facts.gpus:
        pool = shared if gpu.is_integrated else _own_pool(gpu, own_pids)
        if pool is None:
            warnings.append(f"{gpu.name} does not tell its memory, so it is left alone; see what nvidia-smi says")
            continue
        if pool.used_by_others_bytes is None:
            warnings.append(
                f"how much of the memory of {gpu.name} others use is hidden while an engine runs there;"
                " its budget is not known"
            )
        pools.setdefault(pool.pool_id, pool)
        accelerators.append(Accelerator("nvidia", gpu.name, pool.pool_id, facts.version, gpu.compute))
    return Reading(
        pools=tuple(pools.values()), accelerators=tuple(accelerators), warnings=tuple(warnings), activity=activity
    )


def bytes_by_process(facts: DriverFacts) -> dict[int, int | None]:
    """What each process has on all GPUs together; None where the driver shows it on one and does not tell how much."""
    found: dict[int, int | None] = {}
    for gpu in facts.gpus:
        # One process can be listed more than once, for example with compute and graphics work.
        for pid, size in {process.pid: process.used_bytes for process in gpu.processes or ()}.items():
            before = found.get(pid, 0)
            found[pid] = None if size is None or before is None else before + size
    return found


def gpu_reserve(total_bytes: int) -> int:
    """Kept free on a GPU for CUDA contexts and the desktop: 2 % of its memory, at least 256 MiB."""
    return max(_LEAST_RESERVE_BYTES, total_bytes // 50)


def _own_pool(gpu: GpuFacts, own_pids: frozenset[int]) -> MemoryPool | None:
    if gpu.memory is None or gpu.memory.total_bytes == 0:
        return None
    own = _used_by(gpu, own_pids)
    return MemoryPool(
        pool_id=gpu.pool_id,
        kind="vram",
        total_bytes=gpu.memory.total_bytes,
        used_by_others_bytes=None if own is None else max(0, gpu.memory.used_bytes - own),
        reserved_bytes=gpu_reserve(gpu.memory.total_bytes),
    )


def _unified_pool(
    gpus: Sequence[GpuFacts], own_pids: frozenset[int], host: HostMemory | None, reserved_bytes: int | None
) -> MemoryPool | None:
    if host is None:
        return None
    # What the GPU allocated is gone from main memory, yet no process shows it there: the driver knows whose it is.
    own = [_used_by(gpu, own_pids) for gpu in gpus if gpu.is_integrated]
    known = [used for used in own if used is not None]
    others = host.used_by_others_bytes
    return MemoryPool(
        pool_id=UNIFIED,
        kind="unified",
        total_bytes=host.total_bytes,
        used_by_others_bytes=None if others is None or len(known) < len(own) else max(0, others - sum(known)),
        reserved_bytes=reserve(host.total_bytes, reserved_bytes),
    )


def _used_by(gpu: GpuFacts, pids: frozenset[int]) -> int | None:
    """GPU memory of these processes; None where they use some and the driver does not say how much."""
    if not pids:
        return 0
    if gpu.processes is None:
        return None
    # One process can be listed more than once, for example with compute and graphics work.
    sizes = {process.pid: process.used_bytes for process in gpu.processes if process.pid in pids}
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None
