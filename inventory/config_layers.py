"""What each layer of a safetensors or MLX model keeps per token or per sequence, from its config and its tensors.

Sources: the configuration classes of transformers (`configuration_*.py`) for the names of the settings, and what vLLM
and mlx-lm cache for them. Windows count only where the config names the layers or their period: with a window but no
pattern (Mistral, Phi-3, Qwen2), some engines keep every token, and an over-estimate is the safe side. Likewise a
layer's number of key-value heads comes from its own tensor where there is one: what is loaded counts, not what is said.
"""

from inventory.catalog import AttentionShape, RecurrentShape
from inventory.config_facts import ConfigFacts
from inventory.config_tensors import LayerTensors
from inventory.gguf_attention import layer_slides

ENCODERS = frozenset(
    {"bert", "distilbert", "eurobert", "modernbert", "mpnet", "new", "nomic_bert", "roberta", "xlm-roberta"}
)
_WINDOW_PERIODS = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}
_SLIDING = ("sliding_attention", "chunked_attention", "local_attention")


def attention_shape(facts: ConfigFacts, layers: int, tensors: LayerTensors) -> AttentionShape | None:
    """None for a model without attention. Raises FolderError."""
    if all(tensors.only_state):
        return None
    window, slides = _windows(facts, layers)
    causal = _is_causal(facts)
    rank = facts.integer("kv_lora_rank", least=1)
    if rank is not None:
        # Multi-head latent attention: one compressed vector a token, with the rotated part of the keys beside it.
        rope = facts.required("qk_rope_head_dim")
        queries = facts.required("num_attention_heads", "num_heads")
        own = tuple(0 if only else 1 for only in tensors.only_state)
        plain, value = facts.integer("qk_nope_head_dim", least=1), facts.integer("v_head_dim", least=1)
        return AttentionShape(
            queries, own, rank + rope, rank, window, slides, rank, rope, causal=causal,
            unpacked_key_head_size=plain + rope if plain else None, unpacked_value_head_size=value,
        )  # fmt: skip
    head_size = _head_size(facts, tensors)
    heads = facts.integer("num_attention_heads", "n_head", "num_heads", "n_heads", least=1, most=1 << 16)
    wide = facts.integer("global_head_dim", least=1)
    return AttentionShape(
        heads=heads or facts.required("hidden_size", "n_embd", "d_model") // head_size or 1,
        kv_heads=_kv_heads(facts, tensors, heads, (head_size, wide or head_size), slides),
        key_head_size=wide or head_size,
        value_head_size=wide or facts.integer("v_head_dim", least=1) or head_size,
        sliding_window=window,
        sliding_layers=slides,
        kv_lora_rank=None,
        rope_head_size=None,
        sliding_key_head_size=head_size if wide else None,
        sliding_value_head_size=head_size if wide else None,
        causal=causal,
    )


def recurrent_shape(facts: ConfigFacts, tensors: LayerTensors) -> RecurrentShape | None:
    """State sizes in the terms of RecurrentShape's formula. None, too, where a family does not say them here."""
    if not any(tensors.has_state):
        return None
    has_state = tensors.has_state
    if (keys := facts.integer("linear_key_head_dim", least=1)) is not None:  # Qwen3-Next and later: gated delta nets
        inner = facts.required("linear_value_head_dim") * facts.required("linear_num_value_heads")
        groups = facts.required("linear_num_key_heads")
        return RecurrentShape(has_state, keys, facts.required("linear_conv_kernel_dim"), inner, groups)
    embedding = facts.required("hidden_size", "n_embd", "d_model")
    if (kernel := facts.integer("conv_L_cache", least=1)) is not None:  # LFM2: short convolutions, no other state
        return RecurrentShape(has_state, 0, kernel, embedding, 0)
    if (width := facts.integer("lru_width", least=1)) is not None:  # RecurrentGemma
        return RecurrentShape(has_state, 1, facts.required("conv1d_width"), width, 0)
    state = facts.integer("mamba_d_state", "ssm_state_size", "state_size", least=1)
    kernel = facts.integer("mamba_d_conv", "conv_kernel", "d_conv", least=1)
    if state is None or kernel is None:
        return None
    groups_of_mamba2 = facts.integer("mamba_n_groups", "n_groups", "mamba_ngroups") or 0
    return RecurrentShape(has_state, state, kernel, _inner_size(facts, embedding), groups_of_mamba2)


def _inner_size(facts: ConfigFacts, embedding: int) -> int:
    heads = facts.integer("mamba_n_heads", "mamba_num_heads", "n_mamba_heads", least=1)
    size = facts.integer("mamba_d_head", "mamba_head_dim", "mamba_headdim", least=1)
    if heads and size:
        return heads * size
    stated = facts.integer("mamba_d_ssm", "mamba_intermediate_size", least=1)
    expand = facts.number("mamba_expand", "expand", least=0.01, most=64)
    return stated or int((expand or 2) * embedding)


def _head_size(facts: ConfigFacts, tensors: LayerTensors) -> int:
    stated = facts.integer("head_dim", "attention_head_dim", "kv_channels", least=1, most=1 << 16)
    if stated is not None:
        return stated
    heads = facts.integer("num_attention_heads", "n_head", "num_heads", "n_heads", least=1, most=1 << 16)
    if heads is None:
        # Short configs leave the family's defaults out (Gemma 3 with vision); then one norm per head tells its size.
        if tensors.key_norm_size:
            return tensors.key_norm_size
        raise facts.error("num_attention_heads is missing")
    return max(1, facts.required("hidden_size", "n_embd", "d_model") // heads)


def _kv_heads(
    facts: ConfigFacts, tensors: LayerTensors, heads: int | None, sizes: tuple[int, int], slides: tuple[bool, ...]
) -> tuple[int, ...]:
    """`sizes` are those of heads that see a window and of heads that see everything."""
    stated = facts.integer("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", least=1)
    if stated is None:
        stated = 1 if facts.flag("multi_query") else heads
    shared = facts.integer("num_kv_shared_layers", most=len(tensors.key_rows)) or 0
    own_until = len(tensors.key_rows) - shared
    counts: list[int] = []
    for layer, rows in enumerate(tensors.key_rows):
        if tensors.only_state[layer] or layer >= own_until:
            counts.append(0)
            continue
        size = sizes[0] if slides and slides[layer] else sizes[1]
        if rows is not None and (rows == 0 or rows % size):
            raise facts.error(f"layer {layer} has keys of {rows} elements, which heads of {size} do not make up")
        count = rows // size if rows is not None else stated
        if count is None:
            raise facts.error("num_key_value_heads is missing")
        counts.append(count)
    return tuple(counts)


def _windows(facts: ConfigFacts, layers: int) -> tuple[int | None, tuple[bool, ...]]:
    window = facts.integer("sliding_window", "attention_chunk_size", "window_size", least=1)
    if window is None or facts.flag("use_sliding_window") is False:
        return None, ()
    types = facts.words("layer_types")
    if types is not None:
        if len(types) < layers:
            raise facts.error(f"layer_types has {len(types)} entries for {layers} layers")
        slides = tuple(word in _SLIDING for word in types[:layers])
    else:
        slides = _periodic(facts, layers)
    return (window, slides) if any(slides) else (None, ())


def _periodic(facts: ConfigFacts, layers: int) -> tuple[bool, ...]:
    pattern = facts.values.get("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:  # EXAONE 4: "LLLG", local and global layers in turn
        return tuple(pattern[layer % len(pattern)] == "L" for layer in range(layers))
    period = facts.integer("sliding_window_pattern", "_sliding_window_pattern", least=1)
    if period is None:
        period = _WINDOW_PERIODS.get(facts.text("model_type") or "")
    return () if period is None else layer_slides(period, False, layers)


def _is_causal(facts: ConfigFacts) -> bool:
    if facts.flag("is_causal") is False or facts.flag("use_bidirectional_attention"):
        return False
    return facts.text("model_type") not in ENCODERS
