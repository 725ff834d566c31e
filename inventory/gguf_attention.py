"""Which layers of known GGUF architectures look only at a window, where the file itself does not say.

Source: the hyper-parameter loaders of llama.cpp (src/models/<architecture>.cpp, `load_arch_hparams` and
`set_swa_pattern`), read in November 2026. An architecture that is missing here gets full attention on every layer,
which over-estimates memory and never under-estimates it. That includes phi3, llama and qwen2: their files may name a
window, but llama.cpp does not use it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Every `period`-th layer sees everything: the last of each group, or the first where `dense_first`.

    `default_window` stands in for a file that names none; None means such a file has no sliding layers.
    """

    period: int
    dense_first: bool = False
    default_window: int | None = None


WINDOW_RULES: dict[str, WindowRule] = {
    "afmoe": WindowRule(4),
    "cohere2": WindowRule(4),
    "exaone-moe": WindowRule(4),
    "exaone4": WindowRule(4),
    "gemma-embedding": WindowRule(6),
    "gemma2": WindowRule(2, default_window=4096),
    "gemma3": WindowRule(6),
    "gemma3n": WindowRule(5),
    "gpt-oss": WindowRule(2),
    "llama4": WindowRule(4, default_window=8192),
    "modern-bert": WindowRule(3, dense_first=True),
    "olmo2": WindowRule(4),
    "plamo3": WindowRule(8),
    "smallthinker": WindowRule(4, dense_first=True),
}

# Architectures whose files state the pattern layer by layer; without that statement nothing is assumed.
DECLARES_WINDOWS = frozenset({"gemma4", "mimo2", "step35", "lfm2", "deepseek4", "granite-swa"})

# gemma3n: layers from this one on reuse the keys and values of earlier layers (n_layer_kv_from_start in llama.cpp).
OWN_KEYS_UNTIL = {"gemma3n": 20}

# Encoders: their output is a vector, and no pooling type in the file is needed to know it.
ENCODERS = frozenset(
    {
        "bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert",
        "nomic-bert", "nomic-bert-moe", "t5encoder",
    }
)  # fmt: skip


def layer_slides(period: int, dense_first: bool, layers: int) -> tuple[bool, ...]:
    """Period 0 means that every layer slides, 1 that none does."""
    if period == 0:
        return (True,) * layers
    dense = 0 if dense_first else period - 1
    return tuple(layer % period != dense for layer in range(layers))
