"""What a model remembers while it answers, in elements, by its shape: keys and values that grow with each token, and
recurrent state that does not. Engines round, pad and share it in their own ways; that is theirs to add. Pure.
"""

from inventory.catalog import AttentionShape, ModelShape, RecurrentShape

ELEMENT_BYTES = 2  # bfloat16 or float16, which is what engines keep by default


def kv_cache_bytes(model: ModelShape, context_tokens: int, slots: int, shared_tokens: int = 0) -> int | None:
    """For `slots` requests of `context_tokens` each, or as many as share a cache of `shared_tokens`; None where the
    shape is unknown or is not attention alone."""
    attention = model.attention
    if attention is None or model.recurrent is not None or not attention.causal:
        return None
    sliding = min(context_tokens, attention.sliding_window or context_tokens)
    whole = context_tokens * slots if not shared_tokens else min(shared_tokens, context_tokens * slots)
    return cache_elements(attention, whole, min(whole, sliding * slots)) * ELEMENT_BYTES


def cache_elements(attention: AttentionShape, tokens: int, sliding_tokens: int) -> int:
    """Of a cache with room for `tokens` tokens, and for `sliding_tokens` in layers that look back no further than their
    window: how many an engine keeps there is its own decision."""
    if not attention.causal:
        return 0
    return sum(
        (sliding_tokens if slides(attention, layer) else tokens) * _elements_per_token(attention, layer, kv_heads)
        for layer, kv_heads in enumerate(attention.kv_heads)
    )


def slides(attention: AttentionShape, layer: int) -> bool:
    """Whether a layer looks back no further than the window."""
    known = layer < len(attention.sliding_layers) and attention.sliding_layers[layer]
    return known and attention.sliding_window is not None


def recurrent_elements(recurrent: RecurrentShape) -> int:
    """Of the state that one request has in all recurrent layers together."""
    convolution = max(0, recurrent.conv_kernel - 1) * (
        recurrent.inner_size + 2 * recurrent.group_count * recurrent.state_size
    )
    return sum(recurrent.layers) * (convolution + recurrent.inner_size * recurrent.state_size)


def _elements_per_token(attention: AttentionShape, layer: int, kv_heads: int) -> int:
    if attention.kv_lora_rank is not None:
        return attention.key_head_size  # MLA: one compressed vector a token, values are part of it
    key, value = attention.key_head_size, attention.value_head_size
    if slides(attention, layer):
        key = attention.sliding_key_head_size or key
        value = attention.sliding_value_head_size or value
    return kv_heads * (key + value)
