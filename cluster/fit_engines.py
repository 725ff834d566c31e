"""What each engine does with memory beside a model's own bytes: data, with the version and machine it was measured on.

Figures of the CPU builds come from `make bench-fit`, calibrated on three shapes that its table leaves out. Those of GPU
builds are from what their makers and users report, and say so; a node's own measurements replace them
(cluster.fit_ledger).
"""

from dataclasses import dataclass

from nodes.snapshot import EngineKind

MIB, GIB = 1 << 20, 1 << 30
KV_BYTES = {16: 2.0, 8: 34 / 32}  # 8 bits: blocks of 32 with a scale of two bytes (llama.cpp's q8_0)


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """One build of an engine."""

    kind: EngineKind
    accelerated: bool
    version: str
    origin: str  # where the figures come from
    runtime_bytes: int  # processes and libraries, before a model
    weight_factor: float = 1.0  # resident bytes for each byte of weights
    token_step: int = 1  # a cache grows in steps of so many tokens
    spare_tokens: int = 0  # kept for each request beyond its context
    window_spare_tokens: int = 0  # kept in a sliding layer beyond its window
    state_bytes: int = 4  # of an element of recurrent state
    batch_tokens: int = 512  # prompt tokens of one evaluation
    batch_embedding_bytes: float = 0.0  # for each of these and each element of the model's width
    batch_vocab_bytes: float = 0.0  # for each of these and each entry of the vocabulary
    slot_bytes: int = 0  # for each request that it serves at once
    safety: float = 0.02

    def bytes_of(self, kv_bits: int) -> float:
        """Of an element of the KV cache."""
        return KV_BYTES[kv_bits]


ENGINES: tuple[EngineMemory, ...] = (
    EngineMemory(
        kind="llamacpp", accelerated=False, version="2026.10.11549", origin="measured",
        runtime_bytes=130 * MIB, token_step=256, window_spare_tokens=128, batch_tokens=128,
        batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="llamacpp", accelerated=True, version="2026.10.11549", origin="as reported by users, not measured",
        runtime_bytes=500 * MIB, token_step=256, window_spare_tokens=1024, batch_tokens=1024,
        batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="vllm", accelerated=False, version="0.32.0", origin="measured",
        runtime_bytes=1600 * MIB, token_step=128, spare_tokens=256, batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="vllm", accelerated=True, version="0.32.0", origin="as reported by users, not measured",
        runtime_bytes=1400 * MIB, token_step=16, spare_tokens=256, batch_tokens=2048,
        batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="mlx", accelerated=False, version="0.32.2", origin="measured",
        runtime_bytes=250 * MIB, token_step=256, batch_tokens=256, batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="mlx", accelerated=True, version="0.32.2", origin="as reported by users, not measured",
        runtime_bytes=1 * GIB, token_step=256, batch_tokens=2048, batch_embedding_bytes=40.0, batch_vocab_bytes=4.0,
    ),
)  # fmt: skip


def memory_of(kind: EngineKind, accelerated: bool) -> EngineMemory:
    return next(one for one in ENGINES if (one.kind, one.accelerated) == (kind, accelerated))
