"""How many bytes of keys and values the context of a model takes, by its shape. Pure.

A floor for engines that are told how much cache to make: what each of them adds is theirs to add.
"""

from inventory.catalog import AttentionShape, ModelSpec

ELEMENT_BYTES = 2  # bfloat16 or float16, which is what vLLM keeps by default


def kv_cache_bytes(spec: ModelSpec, context_tokens: int, slots: int) -> int | None:
    """For `slots` requests of `context_tokens` each; None where the shape is unknown or is not attention alone."""
    if spec.attention is None or spec.recurrent is not None or not spec.attention.causal:
        return None
    shape = spec.attention
    elements = sum(
        _tokens(shape, layer, context_tokens) * _elements_per_token(shape, layer, kv_heads)
        for layer, kv_heads in enumerate(shape.kv_heads)
    )
    return elements * ELEMENT_BYTES * slots


def _slides(shape: AttentionShape, layer: int) -> bool:
    return layer < len(shape.sliding_layers) and shape.sliding_layers[layer] and shape.sliding_window is not None


def _tokens(shape: AttentionShape, layer: int, context_tokens: int) -> int:
    window = shape.sliding_window if _slides(shape, layer) else None
    return context_tokens if window is None else min(window, context_tokens)


def _elements_per_token(shape: AttentionShape, layer: int, kv_heads: int) -> int:
    if shape.kv_lora_rank is not None:
        return shape.key_head_size  # MLA: one compressed vector a token, values are part of it
    key, value = shape.key_head_size, shape.value_head_size
    if _slides(shape, layer):
        key = shape.sliding_key_head_size or key
        value = shape.sliding_value_head_size or value
    return kv_heads * (key + value)
