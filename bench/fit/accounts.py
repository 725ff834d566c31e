"""What an engine itself says it took: from its log or its metrics to figures, in the terms of a need. Pure."""

import re
from collections import Counter

from bench.fit.cells import Account
from cluster.fit import Term
from nodes.engines.metrics_text import read_samples
from nodes.snapshot import EngineKind

_LLAMACPP = re.compile(r"\S+\s+(model|KV|RS|output|compute) buffer size =\s*([\d.]+) MiB")
_REPACKED = re.compile(r"_REPACK model buffer size =\s*([\d.]+) MiB")
_LLAMACPP_TERMS: dict[str, Term] = {
    "model": "weights",
    "KV": "kv cache",
    "RS": "recurrent state",
    "output": "compute buffers",
    "compute": "compute buffers",
}
_VLLM_CACHE = re.compile(r'^vllm:cache_config_info\{.*\bkv_cache_memory_bytes="(\d+)"', re.MULTILINE)
_MLX_TERMS: tuple[Term, ...] = ("weights", "kv cache", "recurrent state", "compute buffers")


def accounts_of(kind: EngineKind, log: str, metrics: str) -> tuple[Account, ...]:
    if kind == "llamacpp":
        return _llamacpp(log)
    return _mlx(metrics) if kind == "mlx" else _vllm(metrics)


def copied_bytes(log: str) -> int:
    """Weights that llama.cpp has laid out anew for the processor. The mapped file's pages of them are not touched
    again: they are page cache, the first that the kernel takes back, and no memory that anybody needs."""
    return sum(round(float(size) * 2**20) for size in _REPACKED.findall(log))


def _llamacpp(log: str) -> tuple[Account, ...]:
    """Lines such as "load_tensors:   CPU_Mapped model buffer size =    92.10 MiB", summed over devices."""
    sizes: Counter[Term] = Counter()
    for item, size in _LLAMACPP.findall(log):
        sizes[_LLAMACPP_TERMS[item]] += round(float(size) * 2**20)
    sizes["weights"] -= copied_bytes(log)
    return tuple(Account((term,), size) for term, size in sizes.items())


def _mlx(metrics: str) -> tuple[Account, ...]:
    """The most that its arrays took, by the gauge that our start script adds."""
    peak = read_samples(metrics).get("potluck_mlx_peak_bytes")
    return () if peak is None else (Account(_MLX_TERMS, int(peak)),)


def _vllm(metrics: str) -> tuple[Account, ...]:
    """A label of its metrics. It tells nothing of weights, and its log rounds to hundredths of a GiB."""
    cache = _VLLM_CACHE.search(metrics)
    return () if cache is None else (Account(("kv cache",), int(cache[1])),)
