"""What an engine itself says it took of memory: from its log and its metrics to the terms of a need. Pure."""

import re
from collections import Counter

from nodes.snapshot import EngineKind, EngineLoad, MemoryItem, MemoryTerm

_LLAMACPP = re.compile(r"\S+\s+(model|KV|RS|output|compute) buffer size =\s*([\d.]+) MiB")
_REPACKED = re.compile(r"_REPACK model buffer size =\s*([\d.]+) MiB")
_LLAMACPP_TERMS: dict[str, MemoryTerm] = {
    "model": "weights",
    "KV": "kv cache",
    "RS": "recurrent state",
    "output": "compute buffers",
    "compute": "compute buffers",
}
_ARRAYS: tuple[MemoryTerm, ...] = ("weights", "kv cache", "recurrent state", "compute buffers")


def items_in_log(kind: EngineKind, log: str) -> tuple[MemoryItem, ...]:
    """llama.cpp writes lines such as "load_tensors:   CPU_Mapped model buffer size =    92.10 MiB"; they are summed
    over devices. vLLM's log rounds to hundredths of a GiB, and mlx-lm's says nothing."""
    if kind != "llamacpp":
        return ()
    sizes: Counter[MemoryTerm] = Counter()
    for item, size in _LLAMACPP.findall(log):
        sizes[_LLAMACPP_TERMS[item]] += round(float(size) * 2**20)
    if "weights" in sizes:
        sizes["weights"] -= copied_bytes(log)
    return tuple(MemoryItem((term,), size) for term, size in sizes.items())


def copied_bytes(log: str) -> int:
    """Weights that llama.cpp has laid out anew for the processor. The mapped file's pages of them are not touched
    again: they are page cache, the first that the kernel takes back, and no memory that anybody needs."""
    return sum(round(float(size) * 2**20) for size in _REPACKED.findall(log))


def items_in_load(load: EngineLoad) -> tuple[MemoryItem, ...]:
    """By its metrics: vLLM tells its cache and nothing of weights, mlx-lm the most that all its arrays took."""
    told: tuple[tuple[tuple[MemoryTerm, ...], int | None], ...] = (
        (("kv cache",), load.cache_bytes),
        (_ARRAYS, load.arrays_peak_bytes),
    )
    return tuple(MemoryItem(terms, size) for terms, size in told if size is not None)
