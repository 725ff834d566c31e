"""What macOS says about an Apple chip -> its one pool and its GPU. Pure: `probe_apple.py` does the asking.

The GPU may not hold all of the memory it shares. `sysctl iogpu.wired_limit_mb` is the limit in MiB; 0, where every
machine starts, stands for the system's default, which Metal reports as `recommendedMaxWorkingSetSize`
(https://developer.apple.com/documentation/metal/mtldevice/recommendedmaxworkingsetsize) and documents no rule for.
Reports of what Metal says by default:

    16 GiB  10922.67 MiB   2/3   abetlen/llama-cpp-python#687
    32 GiB  21845.34 MiB   2/3   ollama/ollama#434, ggml-org/llama.cpp#2011
    64 GiB  48 GiB         3/4   raullenchai/Rapid-MLX#183
    96 GiB  73728 MiB      3/4   ggml-org/llama.cpp#3213
   192 GiB  144 GiB        3/4   raullenchai/Rapid-MLX#183

macOS 26 gives more (84 % of 128 GiB: antirez/ds4#893; 74 % of 16 GB: AlexsJones/llmfit#754). The fractions above hold
on all versions, so a budget made of them never promises memory that the GPU is refused.
"""

from collections.abc import Mapping

from inventory.hardware import GIB, Accelerator, HostMemory, MemoryPool, PoolId, reserve
from inventory.probe import Reading

KEYS = ("hw.optional.arm64", "hw.memsize", "machdep.cpu.brand_string", "iogpu.wired_limit_mb")
_SMALL_BYTES = 32 * GIB


def parse_sysctl(text: str) -> dict[str, str]:
    """Lines of `NAME: VALUE`, as sysctl prints them."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def reading_of(facts: Mapping[str, str], host: HostMemory, reserved_bytes: int | None) -> Reading:
    """Nothing for a Mac without an Apple chip: its GPU is not one that potluck's engines use."""
    if facts.get("hw.optional.arm64") != "1":
        return Reading()
    total = _number(facts.get("hw.memsize")) or host.total_bytes
    unavailable = total - wired_limit(facts, total) - (host.used_by_others_bytes or 0)
    pool = MemoryPool(
        pool_id=PoolId("unified"),
        kind="unified",
        total_bytes=total,
        used_by_others_bytes=host.used_by_others_bytes,
        reserved_bytes=max(reserve(total, reserved_bytes), unavailable),
    )
    name = facts.get("machdep.cpu.brand_string") or "Apple GPU"
    gpu = Accelerator("apple", name, pool.pool_id, driver=None, compute="metal3")  # every Apple chip of a Mac has it
    return Reading(pools=(pool,), accelerators=(gpu,))


def wired_limit(facts: Mapping[str, str], total_bytes: int) -> int:
    """Bytes that the GPU may hold: what the operator set, else the default of the smallest that is known."""
    chosen = _number(facts.get("iogpu.wired_limit_mb"))
    if chosen:
        return min(chosen << 20, total_bytes)
    return total_bytes * 2 // 3 if total_bytes <= _SMALL_BYTES else total_bytes * 3 // 4


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
