"""What each layer of a GGUF model keeps per token or per sequence: attention caches and recurrent state.

Which layers are recurrent is read from the tensors that are there, not from a table of architectures: a hybrid names
its layers by what they hold, and a family that is new today is then right without a change here.
"""

import re
from collections.abc import Iterable

from inventory.catalog import AttentionShape, RecurrentShape
from inventory.gguf_attention import DECLARES_WINDOWS, ENCODERS, OWN_KEYS_UNTIL, WINDOW_RULES, layer_slides
from inventory.gguf_facts import GgufFacts

_LAYER_TENSOR = re.compile(r"blk\.(\d{1,5})\.(.+)")
_RECURRENT_PARTS = ("ssm_", "shortconv", "time_mix_")
_ATTENTION_PARTS = ("attn_k.", "attn_k_b.", "attn_kv_a_mqa.", "attn_kv_b.")


def recurrent_layers(tensor_names: Iterable[str], layers: int) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """(has recurrent state, has nothing but recurrent state) for each layer."""
    state, attention = set[int](), set[int]()
    for name in tensor_names:
        if found := _LAYER_TENSOR.match(name):
            if found[2].startswith(_RECURRENT_PARTS):
                state.add(int(found[1]))
            elif found[2].startswith(_ATTENTION_PARTS):
                attention.add(int(found[1]))
    has_state = tuple(layer in state for layer in range(layers))
    return has_state, tuple(layer in state and layer not in attention for layer in range(layers))


def attention_shape(facts: GgufFacts, layers: int, without: tuple[bool, ...]) -> AttentionShape | None:
    """The attention of one model; `without` marks layers that have none. None for a model without attention."""
    per_layer_heads = facts.per_layer("attention.head_count", layers) or (0,) * layers
    heads = max(per_layer_heads, default=0)
    if heads == 0 or all(without):
        return None
    embedding = facts.required("embedding_length")
    kv_heads = facts.per_layer("attention.head_count_kv", layers) or per_layer_heads
    own_keys = _layers_with_own_keys(facts, layers)
    window, slides = _windows(facts, layers)
    key_head_size = facts.shape_integer("attention.key_length", 1)
    value_head_size = facts.shape_integer("attention.value_length", 1)
    # Without the absorbed head sizes an engine caches whole heads, and the ranks below do not describe its cache.
    unpacked_key_size = facts.shape_integer("attention.key_length_mla", 1)
    absorbed = unpacked_key_size is not None
    return AttentionShape(
        heads=heads,
        kv_heads=tuple(0 if without[layer] or layer >= own_keys else count for layer, count in enumerate(kv_heads)),
        key_head_size=key_head_size or embedding // heads,
        value_head_size=value_head_size or embedding // heads,
        sliding_window=window,
        sliding_layers=slides,
        kv_lora_rank=facts.shape_integer("attention.kv_lora_rank", 1) if absorbed else None,
        rope_head_size=facts.shape_integer("rope.dimension_count", 1) if absorbed else None,
        sliding_key_head_size=facts.shape_integer("attention.key_length_swa", 1),
        sliding_value_head_size=facts.shape_integer("attention.value_length_swa", 1),
        causal=facts.flag("attention.causal") is not False and facts.architecture not in ENCODERS,
        unpacked_key_head_size=unpacked_key_size,
        unpacked_value_head_size=facts.shape_integer("attention.value_length_mla", 1) if absorbed else None,
    )


def recurrent_shape(facts: GgufFacts, has_state: tuple[bool, ...]) -> RecurrentShape | None:
    """State sizes in the terms of RecurrentShape's formula, whichever family states them."""
    if not any(has_state):
        return None
    embedding = facts.required("embedding_length")
    if (kernel := facts.shape_integer("shortconv.l_cache", 1)) is not None:
        return RecurrentShape(has_state, state_size=0, conv_kernel=kernel, inner_size=embedding, group_count=0)
    if (head_size := facts.shape_integer("wkv.head_size", 1)) is not None:
        shifts = facts.shape_integer("token_shift_count", 1)
        return RecurrentShape(has_state, head_size, 1 + (2 if shifts is None else shifts), embedding, group_count=0)
    kernel = facts.required("ssm.conv_kernel")
    if (head_size := facts.shape_integer("kda.head_dim", 1)) is not None:
        # Delta attention keeps a convolution for each of queries, keys and values: two groups beside the inner size.
        heads = max(facts.per_layer("attention.head_count", len(has_state)) or (0,))
        return RecurrentShape(has_state, head_size, kernel, heads * head_size, group_count=heads)
    return RecurrentShape(
        layers=has_state,
        state_size=facts.required("ssm.state_size"),
        conv_kernel=kernel,
        inner_size=facts.required("ssm.inner_size"),
        group_count=facts.shape_integer("ssm.group_count") or 0,
    )


def _layers_with_own_keys(facts: GgufFacts, layers: int) -> int:
    """Layers from this one on keep no keys: they share earlier ones, or only predict further tokens."""
    shared = facts.shape_integer("attention.shared_kv_layers", 0, layers)
    if shared is not None:
        return layers - shared
    predicting = facts.shape_integer("nextn_predict_layers", 0, layers) or 0
    return min(OWN_KEYS_UNTIL.get(facts.architecture, layers), layers - predicting)


def _windows(facts: GgufFacts, layers: int) -> tuple[int | None, tuple[bool, ...]]:
    rule = WINDOW_RULES.get(facts.architecture)
    if rule is None and facts.architecture not in DECLARES_WINDOWS:
        return None, ()
    window = facts.shape_integer("attention.sliding_window")
    if window is None:
        window = rule.default_window if rule else None
    if not window:
        return None, ()
    pattern = facts.per_layer("attention.sliding_window_pattern", layers)
    if pattern is not None and facts.is_array("attention.sliding_window_pattern"):
        slides = tuple(entry != 0 for entry in pattern)
    elif pattern:
        slides = layer_slides(pattern[0], rule.dense_first if rule else False, layers)
    elif rule is not None:
        slides = layer_slides(rule.period, rule.dense_first, layers)
    else:
        slides = ()
    return (window, slides) if any(slides) else (None, ())
