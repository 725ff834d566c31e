"""Models that people plan with before any file of theirs is here: shapes from the public config.json of each, and what
a quantisation makes of their weights. Pure. A model that is in the store is read from its own headers instead.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from inventory.catalog import AttentionShape, ExpertShape, ModelShape


@dataclass(frozen=True, slots=True)
class Quantisation:
    """Bits of a weight with its share of scales; `embedding_bits` where the embeddings are left as they were."""

    name: str
    bits: float
    embedding_bits: float | None = None


QUANTISATIONS: dict[str, Quantisation] = {
    one.name: one
    for one in (
        Quantisation("bf16", 16.0),
        Quantisation("8bit", 8.5),  # MLX: groups of 64 with a scale and a bias of two bytes each
        Quantisation("6bit", 6.5),
        Quantisation("4bit", 4.5),
        Quantisation("q8_0", 8.5),  # GGUF: blocks of 32 with one scale
        Quantisation("q4_k_m", 4.85),
        Quantisation("q4_0", 4.5),
        Quantisation("awq", 4.16, 16.0),  # groups of 128; embeddings and head stay in 16 bits
        Quantisation("fp8", 8.0, 16.0),
        Quantisation("mxfp4", 4.25),
    )
}


class UnknownModelError(Exception):
    """Neither on a machine of this cluster nor known by name. The command prints this and exits 4."""

    status = 404

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
        super().__init__(f"no machine here holds {name}, and it is not known by name; {hint}")
        self.name = name


class UnknownQuantisationError(Exception):
    """The command prints this and exits 2."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no quantisation; write one of {', '.join(QUANTISATIONS)}")


@dataclass(frozen=True, slots=True)
class KnownModel:
    name: str
    architecture: str
    parameters: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    tied: bool = False
    window: int | None = None
    full_every: int = 0  # of layers with a window, each so manyth has none
    latent: tuple[int, int] | None = None  # MLA: rank, and elements with a position
    experts: tuple[int, int] | None = None  # how many, and how many are used for a token

    def shape(self, quantisation: str) -> ModelShape:
        """Raises UnknownQuantisationError."""
        return ModelShape(
            architecture=self.architecture,
            layers=self.layers,
            embedding_size=self.width,
            vocabulary_size=self.vocabulary,
            context_length=self.context,
            attention=self._attention(),
            recurrent=None,
            experts=ExpertShape(*self.experts) if self.experts else None,
            quantisation=quantisation,
            weight_bytes=self._weight_bytes(quantisation),
        )

    def _attention(self) -> AttentionShape:
        every = self.full_every
        rank, positional = self.latent or (None, None)
        compressed = rank is not None and positional is not None
        return AttentionShape(
            heads=self.heads,
            kv_heads=(1 if compressed else self.kv_heads,) * self.layers,
            key_head_size=rank + positional if rank is not None and positional is not None else self.head_size,
            value_head_size=self.head_size,
            sliding_window=self.window,
            sliding_layers=tuple(layer % every != every - 1 for layer in range(self.layers)) if self.window else (),
            kv_lora_rank=rank,
            rope_head_size=positional,
        )

    def _weight_bytes(self, quantisation: str) -> int:
        chosen = QUANTISATIONS.get(quantisation)
        if chosen is None:
            raise UnknownQuantisationError(quantisation)
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        kept = chosen.embedding_bits if chosen.embedding_bits is not None else chosen.bits
        return int((self.parameters - embeddings) * chosen.bits / 8 + embeddings * kept / 8)


KNOWN: tuple[KnownModel, ...] = (
    KnownModel("deepseek-v3", "deepseek_v3", 671_026_419_200, 61, 7168, 128, 128, 128, 129_280, 163_840,
               latent=(512, 64), experts=(256, 8)),
    KnownModel("gemma-3-27b", "gemma3_text", 27_009_346_304, 62, 5376, 32, 16, 128, 262_144, 131_072,
               tied=True, window=1024, full_every=6),
    KnownModel("gpt-oss-120b", "gpt_oss", 116_829_156_672, 36, 2880, 64, 8, 64, 201_088, 131_072,
               window=128, full_every=2, experts=(128, 4)),
    KnownModel("gpt-oss-20b", "gpt_oss", 20_914_757_184, 24, 2880, 64, 8, 64, 201_088, 131_072,
               window=128, full_every=2, experts=(32, 4)),
    KnownModel("llama-3.1-8b", "llama", 8_030_261_248, 32, 4096, 32, 8, 128, 128_256, 131_072),
    KnownModel("llama-3.3-70b", "llama", 70_553_706_496, 80, 8192, 64, 8, 128, 128_256, 131_072),
    KnownModel("mistral-small-24b", "mistral", 23_572_403_200, 40, 5120, 32, 8, 128, 131_072, 32_768),
    KnownModel("qwen3-14b", "qwen3", 14_768_307_200, 40, 5120, 40, 8, 128, 151_936, 40_960),
    KnownModel("qwen3-235b-a22b", "qwen3_moe", 235_093_634_560, 94, 4096, 64, 4, 128, 151_936, 40_960,
               experts=(128, 8)),
    KnownModel("qwen3-30b-a3b", "qwen3_moe", 30_532_122_624, 48, 2048, 32, 4, 128, 151_936, 40_960, experts=(128, 8)),
    KnownModel("qwen3-32b", "qwen3", 32_762_123_264, 64, 5120, 64, 8, 128, 151_936, 40_960),
    KnownModel("qwen3-4b", "qwen3", 4_022_468_096, 36, 2560, 32, 8, 128, 151_936, 40_960, tied=True),
    KnownModel("qwen3-8b", "qwen3", 8_190_735_360, 36, 4096, 32, 8, 128, 151_936, 40_960),
)  # fmt: skip


def known_model(name: str) -> KnownModel | None:
    return next((model for model in KNOWN if model.name == name.lower()), None)
