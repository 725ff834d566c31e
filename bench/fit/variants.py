"""The models of the bench: their shapes, as published families shape theirs, and the types their weights are kept in.

A config is what a published model of the family has in its config.json, reduced to what the engines ask for. Sizes
are small because a context has to be really filled on a CPU: weights lie in vocabularies and experts, which cost room
and little time. All contexts are long enough for any cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[str] | list[int] | dict[str, bool | int | float | str] | None"
Config = Mapping[str, Json]
GgufType = Literal["F16", "BF16", "Q8_0", "Q4_0"]
Bits = Literal[4, 8]

SMOLLM2 = "smollm2"  # the one model with real weights
_CONTEXT = 32_768


@dataclass(frozen=True, slots=True)
class Variant:
    """One model. `config` of None is SmolLM2; `gguf` of None is the file that its makers quantised.

    `mlx_bits` are those of embeddings and experts; None keeps bfloat16, as the safetensors do for all. Variants that
    calibrate are outside the table.
    """

    name: str
    family: str
    config: Config | None
    gguf: GgufType | None
    mlx_bits: Bits | None
    calibrates: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """What every family has. `inner` is the width of a feed-forward layer, of one expert where there are several."""

    layers: int
    width: int
    heads: int
    own: int  # heads of keys and values
    inner: int
    vocabulary: int


def _common(architecture: str, kind: str, size: Size, tied: bool) -> dict[str, Json]:
    return {
        "architectures": [architecture],
        "model_type": kind,
        "torch_dtype": "bfloat16",
        "vocab_size": size.vocabulary,
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.own,
        "hidden_act": "silu",
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "attention_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def llama(size: Size, head: int = 64, tied: bool = False) -> Config:
    return {**_common("LlamaForCausalLM", "llama", size, tied), "head_dim": head, "mlp_bias": False}


def qwen3(size: Size, head: int = 128, tied: bool = True) -> Config:
    """The size of a head is stated, and not that of the width divided by the heads."""
    return {**_common("Qwen3ForCausalLM", "qwen3", size, tied), "head_dim": head, "use_sliding_window": False}


def gemma3(size: Size, head: int, window: int) -> Config:
    """Five layers that see a window, then one that sees everything, and so on."""
    return {
        **_common("Gemma3ForCausalLM", "gemma3_text", size, tied=True),
        "head_dim": head,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": head,
        "sliding_window": window,
        "sliding_window_pattern": 6,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
    }


def mixtral(size: Size, experts: int, used: int = 2) -> Config:
    common = _common("MixtralForCausalLM", "mixtral", size, tied=False)
    return {**common, "num_local_experts": experts, "num_experts_per_tok": used, "sliding_window": None}


@dataclass(frozen=True, slots=True)
class Latent:
    """The compressed keys and values of DeepSeek-V2: `rank` and `turned` elements are cached for a token."""

    rank: int = 512
    turned: int = 64
    plain: int = 128
    value: int = 128
    query_rank: int = 256


def deepseek(size: Size, latent: Latent, experts: int, used: int) -> Config:
    """The first layer is dense, the others have experts and one that is shared."""
    yarn: dict[str, bool | int | float | str] = {
        "type": "yarn",
        "factor": 40.0,
        "original_max_position_embeddings": 4_096,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
    }
    return {
        **_common("DeepseekV2ForCausalLM", "deepseek_v2", size, tied=False),
        "max_position_embeddings": 163_840,
        "rope_scaling": yarn,
        "kv_lora_rank": latent.rank,
        "q_lora_rank": latent.query_rank,
        "qk_rope_head_dim": latent.turned,
        "qk_nope_head_dim": latent.plain,
        "v_head_dim": latent.value,
        "moe_intermediate_size": size.inner // 4,
        "n_routed_experts": experts,
        "n_shared_experts": 1,
        "num_experts_per_tok": used,
        "first_k_dense_replace": 1,
        "moe_layer_freq": 1,
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "scoring_func": "softmax",
        "topk_method": "greedy",
        "n_group": 1,
        "topk_group": 1,
    }


def lfm2(size: Size, attention: list[int]) -> Config:
    """Short convolutions, and attention in the layers named."""
    return {
        **_common("Lfm2ForCausalLM", "lfm2", size, tied=True),
        "norm_eps": 1e-5,
        "rope_theta": 1_000_000.0,
        "full_attn_idxs": attention,
        "layer_types": ["full_attention" if layer in attention else "conv" for layer in range(size.layers)],
        "conv_L_cache": 3,
        "conv_bias": False,
        "conv_dim": size.width,
        "conv_dim_out": size.width,
        "block_dim": size.width,
        "block_ff_dim": size.inner,
        "block_auto_adjust_ff_dim": False,
        "block_ffn_dim_multiplier": 1.0,
        "block_multiple_of": 256,
    }


def granite(size: Size, attention: list[int], state: int) -> Config:
    """Mamba-2 layers, and attention that turns nothing in the layers named."""
    head = 64
    return {
        **_common("GraniteMoeHybridForCausalLM", "granitemoehybrid", size, tied=True),
        "layer_types": ["attention" if layer in attention else "mamba" for layer in range(size.layers)],
        "position_embedding_type": "nope",
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": size.inner,
        "attention_multiplier": 1 / head,
        "embedding_multiplier": 12.0,
        "residual_multiplier": 0.25,
        "logits_scaling": 3.0,
        "mamba_n_heads": 2 * size.width // head,
        "mamba_d_head": head,
        "mamba_d_state": state,
        "mamba_d_conv": 4,
        "mamba_n_groups": 1,
        "mamba_expand": 2,
        "mamba_chunk_size": 256,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
    }


def _variant(name: str, config: Config, gguf: GgufType, bits: Bits | None, calibrates: bool = False) -> Variant:
    return Variant(name, name.split("-")[0], MappingProxyType(dict(config)), gguf, bits, calibrates)


VARIANTS: tuple[Variant, ...] = (
    Variant(SMOLLM2, "llama", None, None, None),
    Variant("smollm2-8bit", "llama", None, "Q8_0", 8),
    Variant("smollm2-4bit", "llama", None, "Q4_0", 4),
    _variant("llama-grouped", llama(Size(8, 512, 8, 2, 1536, 49_152)), "Q8_0", 8),
    _variant("llama-one-key", llama(Size(12, 384, 6, 1, 1024, 32_000), tied=True), "F16", None),
    _variant("llama-wide-heads", llama(Size(6, 512, 8, 8, 1536, 128_256), head=128), "Q4_0", 4),
    _variant("llama-deep", llama(Size(24, 256, 4, 2, 768, 49_152), tied=True), "BF16", None),
    _variant("qwen3-large-vocabulary", qwen3(Size(8, 384, 4, 2, 1152, 151_936)), "Q8_0", 4),
    _variant("qwen3-many-keys", qwen3(Size(10, 640, 8, 8, 1920, 65_536)), "F16", None),
    _variant("qwen3-untied", qwen3(Size(6, 512, 8, 4, 1536, 100_352), head=64, tied=False), "Q4_0", 8),
    _variant("gemma3-large-heads", gemma3(Size(6, 384, 4, 1, 1536, 131_072), head=256, window=512), "Q8_0", 8),
    _variant("gemma3-twelve", gemma3(Size(12, 512, 4, 2, 2048, 65_536), head=128, window=512), "Q4_0", 4),
    _variant("gemma3-wide-window", gemma3(Size(8, 512, 4, 4, 1536, 49_152), head=256, window=1024), "F16", None),
    _variant("deepseek-eight", deepseek(Size(6, 512, 4, 4, 1024, 102_400), Latent(), 8, 2), "Q8_0", 8),
    _variant(
        "deepseek-sixteen",
        deepseek(Size(10, 384, 8, 8, 768, 32_000), Latent(plain=64, value=64, query_rank=192), 16, 4),
        "F16",
        4,
    ),
    _variant(
        "deepseek-low-rank",
        deepseek(Size(8, 512, 8, 8, 1024, 49_152), Latent(rank=256, turned=32, plain=64, value=64), 8, 2),
        "Q4_0",
        4,
    ),
    _variant("mixtral-eight", mixtral(Size(6, 384, 6, 2, 768, 32_000), experts=8), "Q8_0", 8),
    _variant("mixtral-sixteen", mixtral(Size(8, 512, 8, 4, 512, 49_152), experts=16), "Q4_0", 4),
    _variant("lfm2-three-of-ten", lfm2(Size(10, 512, 8, 4, 1536, 65_536), attention=[2, 5, 8]), "Q8_0", 8),
    _variant("lfm2-two-of-six", lfm2(Size(6, 768, 12, 4, 2048, 49_152), attention=[2, 5]), "F16", None),
    _variant("granite-one-of-ten", granite(Size(10, 512, 8, 2, 1024, 100_352), attention=[5], state=128), "Q8_0", None),
    _variant(
        "granite-two-of-eight",
        granite(Size(8, 768, 12, 4, 1536, 49_152), attention=[3, 7], state=64),
        "Q4_0",
        4,
    ),
    _variant("llama-calibration", llama(Size(10, 448, 7, 7, 1280, 57_344)), "Q8_0", 8, calibrates=True),
    _variant("qwen3-calibration", qwen3(Size(6, 512, 6, 3, 1536, 81_920)), "F16", None, calibrates=True),
    _variant("mixtral-calibration", mixtral(Size(6, 448, 7, 1, 640, 40_960), experts=10), "Q4_0", 4, calibrates=True),
)
