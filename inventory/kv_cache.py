"""What a model remembers while it answers, in elements, by its shape: keys and values that grow with each token, and
recurrent state that does not. Engines round, pad and share it in their own ways; that is theirs to add. Pure.
"""

from dataclasses import dataclass
from math import ceil

from inventory.catalog import AttentionShape, ModelShape, RecurrentShape

ELEMENT_BYTES = 2  # bfloat16 or float16, which is what engines keep by default
BLOCK_TOKENS = 128  # of vLLM on a CPU, where it has the most
STATE_BYTES = 4
STATES = 3  # the most that vLLM keeps of one request in a layer: the last two, and a checkpoint of its prompt


def kv_cache_bytes(model: ModelShape, context_tokens: int, slots: int, shared_tokens: int = 0) -> int | None:
    """For `slots` requests of `context_tokens` each, or as many as share a cache of `shared_tokens`; None where the
    shape is unknown or is not attention alone."""
    attention = model.attention
    if attention is None or model.recurrent is not None or not attention.causal:
        return None
    sliding = min(context_tokens, attention.sliding_window or context_tokens)
    whole = context_tokens * slots if not shared_tokens else min(shared_tokens, context_tokens * slots)
    return cache_elements(attention, whole, min(whole, sliding * slots)) * ELEMENT_BYTES


@dataclass(frozen=True, slots=True)
class BlockCache:
    """Bytes of a cache in which keys, values and states lie in the same blocks."""

    token_bytes: int
    request_bytes: int  # of each request, beside its tokens: its states, and a block that is not full
    empty_bytes: int  # of one block that nobody uses

    def size_bytes(self, tokens: int, slots: int) -> int:
        """For `slots` requests that have `tokens` together."""
        return self.token_bytes * tokens + self.request_bytes * slots + self.empty_bytes


def block_cache(model: ModelShape) -> BlockCache | None:
    """As vLLM lays it out where some layers have attention and others a state; None for all other models.

    A block of a layer with attention is made long enough that a state fits into it (its platforms/interface.py), and a
    state takes one whole (MambaSpec in its v1/kv_cache_interface.py). Layers are kept in groups of one kind and one
    size, and a block is one of every layer of a group: a group that is not full has blocks for layers that do not exist
    (its v1/core/kv_cache_utils.py). Told too little, it would not start: states count as float32, as some models want.
    """
    attention, recurrent = model.attention, model.recurrent
    if attention is None or recurrent is None or not attention.causal:
        return None
    tokens = [_elements_per_token(attention, layer, own) for layer, own in enumerate(attention.kv_heads) if own]
    stateful = sum(recurrent.layers)
    if not tokens or not stateful:
        return None
    token_bytes = max(tokens) * ELEMENT_BYTES
    state_bytes = recurrent_elements(recurrent) // stateful * STATE_BYTES
    block_bytes = BLOCK_TOKENS * ceil(state_bytes / (BLOCK_TOKENS * token_bytes)) * token_bytes
    fewer, more = sorted((len(tokens), stateful))
    group = more if more < 1.5 * fewer else fewer
    attending, remembering = ceil(len(tokens) / group), ceil(stateful / group)
    one_of_each = block_bytes * group
    return BlockCache(attending * group * token_bytes, one_of_each * (attending + STATES * remembering), one_of_each)


def cache_parts(model: ModelShape, context_tokens: int, slots: int, shared_tokens: int = 0) -> tuple[int | None, int]:
    """What a cache takes by tokens (None where the shape is unknown), and what beside them, by requests alone."""
    blocks = block_cache(model)
    if blocks is None:
        return kv_cache_bytes(model, context_tokens, slots, shared_tokens), 0
    tokens = min(shared_tokens or context_tokens * slots, context_tokens * slots)
    return blocks.token_bytes * tokens, blocks.size_bytes(0, slots)


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
