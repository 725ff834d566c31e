"""How many bytes an engine needs for a model, item by item, and where each figure comes from. Pure.

A need is what the engine takes of its pool at its peak, with every request as long as it may be: weights, what each
token and each request keeps, the buffers of an evaluation, and what the engine takes before it has a model at all.
What an engine adds to the shape of a model is data (cluster.fit_engines), with the version that it was measured on.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from cluster.fit_engines import EngineMemory, memory_of
from inventory.catalog import AttentionShape, ModelShape
from inventory.kv_cache import BlockCache, block_cache, cache_elements, recurrent_elements
from inventory.sizes import format_bytes
from nodes.snapshot import EngineKind, MemoryTerm

KvBits = Literal[16, 8]


@dataclass(frozen=True, slots=True)
class Workload:
    """What an engine should be able to do at once: `slots` requests, each of up to `context_tokens` tokens."""

    kind: EngineKind
    shape: ModelShape
    context_tokens: int
    slots: int
    kv_bits: KvBits = 16
    accelerated: bool = False  # a GPU's build of the engine
    cache_tokens: int = 0  # that all requests share; 0: each has a context of its own


@dataclass(frozen=True, slots=True)
class Item:
    """One term of a need. `how` is its arithmetic, for people."""

    term: MemoryTerm
    size_bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Need:
    items: tuple[Item, ...]

    @property
    def total_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items)

    def of(self, term: MemoryTerm) -> int:
        return sum(item.size_bytes for item in self.items if item.term == term)


def need_of(workload: Workload, memory: EngineMemory | None = None) -> Need:
    """`memory` is the build's as it was measured, unless a ledger of this machine knows it better."""
    engine = memory or memory_of(workload.kind, workload.accelerated)
    items = [
        _weights(workload.shape),
        *_remembered(workload, engine),
        _compute(workload, engine),
        _runtime(workload, engine),
    ]
    counted = sum(item.size_bytes for item in items)
    safety = int(counted * engine.safety)
    items.append(Item("safety", safety, f"{engine.safety:.0%} of all that was counted"))
    return Need(tuple(item for item in items if item.size_bytes))


def _weights(shape: ModelShape) -> Item:
    return Item("weights", shape.weight_bytes, f"{format_bytes(shape.weight_bytes)} of {shape.quantisation}")


def _remembered(workload: Workload, engine: EngineMemory) -> list[Item]:
    """Keys, values and states."""
    blocks = block_cache(workload.shape) if engine.state_in_blocks else None
    if blocks is not None:
        return [_blocks(workload, blocks, engine)]
    attention, state = _as_cached(workload.shape, engine), _recurrent(workload, engine)
    if attention is None:
        return [state]
    return [_kv_cache(workload, attention, engine), _kept_prompts(workload, attention, engine), state]


def _kv_cache(workload: Workload, attention: AttentionShape, engine: EngineMemory) -> Item:
    tokens, sliding = _cached_tokens(workload, attention, engine)
    told = f", {sliding:,} in layers with a window" if sliding != tokens else ""
    per_token = cache_elements(attention, 1, 1) * engine.bytes_of(workload.kv_bits)
    each = _cache_bytes(workload, attention, engine)
    size = _cache_bytes(workload, attention, engine, ahead=engine.ahead_tokens) * workload.slots
    counted = f"{workload.slots} x {tokens:,}"
    if workload.cache_tokens:
        shared = _shared_tokens(workload, engine, tokens)
        slid = min(shared, sliding * workload.slots)
        size = int(cache_elements(attention, shared, slid) * engine.bytes_of(workload.kv_bits))
        counted = f"{shared:,} shared"
    how = f"{counted} tokens{told}, {per_token / 1024:.1f} KiB each at {workload.kv_bits} bits"
    if engine.prefill_copies:
        how += f"; {engine.prefill_copies} x {format_bytes(each)} copied while an answer begins"
    return Item("kv cache", size + each * engine.prefill_copies, how)


def _blocks(workload: Workload, blocks: BlockCache, engine: EngineMemory) -> Item:
    """States and all, as the engine is told to take (nodes/engines/vllm.py)."""
    most = workload.context_tokens * workload.slots
    tokens = min(workload.cache_tokens or most, most) + workload.slots * engine.spare_tokens
    size = blocks.size_bytes(tokens, workload.slots)
    how = f"{tokens:,} tokens of {blocks.token_bytes / 1024:.1f} KiB"
    return Item("kv cache", size, f"{how}, and {format_bytes(blocks.request_bytes)} of states for each request")


def _shared_tokens(workload: Workload, engine: EngineMemory, tokens: int) -> int:
    """Of all requests together, where they share a cache; `tokens` is the most that one may have."""
    apart = engine.token_step if engine.own_caches else 0  # each request's own cache grows in steps
    spare = workload.slots * (engine.spare_tokens + apart)
    return min(_stepped(workload.cache_tokens + spare, engine.token_step), tokens * workload.slots)


def _cached_tokens(workload: Workload, attention: AttentionShape, engine: EngineMemory) -> tuple[int, int]:
    """Of one request: in layers that see everything, and in those that see a window."""
    tokens = _stepped(workload.context_tokens + engine.spare_tokens, engine.token_step)
    if attention.sliding_window is None or not any(attention.sliding_layers):
        return tokens, tokens
    held = _stepped(attention.sliding_window + engine.window_spare_tokens, engine.token_step)
    return tokens, min(tokens + engine.ahead_tokens, held)


def _cache_bytes(workload: Workload, attention: AttentionShape, engine: EngineMemory, ahead: int = 0) -> int:
    """Of one request; while it is answered, in layers that see everything by so many tokens more than they hold."""
    tokens, sliding = _cached_tokens(workload, attention, engine)
    return int(cache_elements(attention, tokens + ahead, sliding) * engine.bytes_of(workload.kv_bits))


def _as_cached(shape: ModelShape, engine: EngineMemory) -> AttentionShape | None:
    """Compressed keys and values as whole heads, where the engine unpacks them before it keeps them."""
    attention = shape.attention
    if attention is None or shape.architecture not in engine.unpacks:
        return attention
    key, value = attention.unpacked_key_head_size, attention.unpacked_value_head_size
    if key is None or value is None:
        return attention
    heads = tuple(attention.heads if own else 0 for own in attention.kv_heads)
    return replace(attention, kv_heads=heads, key_head_size=key, value_head_size=value, kv_lora_rank=None)


def _recurrent(workload: Workload, engine: EngineMemory) -> Item:
    recurrent = workload.shape.recurrent
    if recurrent is None:
        return Item("recurrent state", 0, "")
    each = recurrent_elements(recurrent) * engine.state_bytes
    count = workload.slots + engine.prefill_copies
    return Item("recurrent state", each * count, f"{count} x {each / 2**20:.2f} MiB")


def _kept_prompts(workload: Workload, attention: AttentionShape, engine: EngineMemory) -> Item:
    """Caches of prompts that were answered: copies, beside those of the requests under way."""
    each = _cache_bytes(workload, attention, engine)
    size = min(each * engine.kept_prompts, engine.kept_limit_bytes)
    how = (
        f"up to {engine.kept_prompts} prompts of {format_bytes(each)}, at most {format_bytes(engine.kept_limit_bytes)}"
    )
    return Item("kept prompts", size, how)


def _compute(workload: Workload, engine: EngineMemory) -> Item:
    shape, batch = workload.shape, max(engine.batch_tokens, _whole_tokens(workload, engine))
    row = (
        shape.embedding_size * engine.batch_width_bytes
        + (shape.vocabulary_size or 0) * engine.batch_vocab_bytes
        + workload.context_tokens * engine.batch_context_bytes
        + _recurrent_row(shape, engine)
    )
    size, how = int(batch * row), f"{batch:,} tokens x {row / 1024:.1f} KiB"
    scores = _scores(workload, engine)
    if scores:
        told = f"{format_bytes(scores)} for every score of prompts evaluated whole"
        size, how = size + scores, f"{how} and {told}" if size else told
    return Item("compute buffers", size, how)


def _whole_tokens(workload: Workload, engine: EngineMemory) -> int:
    """Of a text that is evaluated in one go, as where each token of it looks at all others: nodes/launching.py."""
    shape = workload.shape
    both_ways = shape.attention is not None and not shape.attention.causal
    if not (both_ways or engine.whole_texts):
        return 0
    return min(workload.context_tokens, shape.context_length or workload.context_tokens)


def _scores(workload: Workload, engine: EngineMemory) -> int:
    """Of one layer, where an engine evaluates prompts whole and writes out every score of compressed attention.

    vLLM does on a CPU without AMX (its platforms/cpu.py turns chunked prefill off, its mla/prefill/cpu_sdpa.py has no
    fused attention): as many prompts at once as its batch takes, one after the other. Each has two matrices of scores
    in float32, as they are and scaled or summed up to one, beside a mask of a byte and copies of its queries, keys and
    values in float32. What one prompt has is let go only as the next one replaces it: at the peak there are two. So
    the most is taken by the longest prompt, with the longest that its batch has room for.
    """
    attention = workload.shape.attention
    if not engine.whole_prompt_tokens or attention is None or attention.kv_lora_rank is None:
        return 0
    longest = workload.context_tokens
    batch = min(max(longest, engine.whole_prompt_tokens), longest * workload.slots)
    next_longest = min(longest, batch - longest)
    matrices = (longest**2 + next_longest**2) * (2 * 4 * attention.heads + 1)
    key = attention.unpacked_key_head_size or attention.key_head_size
    value = attention.unpacked_value_head_size or attention.value_head_size
    elements = attention.heads * (2 * key + value)
    return matrices + elements * (2 * batch + 4 * (longest + next_longest))


def _recurrent_row(shape: ModelShape, engine: EngineMemory) -> float:
    """Bytes of one token of a batch in one recurrent layer with a state, convolutions aside."""
    recurrent = shape.recurrent
    if recurrent is None or not recurrent.state_size:
        return 0.0
    return recurrent.inner_size * (recurrent.state_size * engine.batch_state_bytes + engine.batch_inner_bytes)


def _runtime(workload: Workload, engine: EngineMemory) -> Item:
    shape = workload.shape
    tables = (shape.vocabulary_size or 0) * engine.vocab_bytes + shape.layers * engine.layer_bytes
    texts = workload.slots * workload.context_tokens * engine.token_bytes
    told = f", {format_bytes(tables + texts)} of it for vocabulary, layers and texts" if tables + texts else ""
    own = dict(engine.runtime_of).get(shape.architecture, 0) + dict(engine.more_of).get(shape.architecture, 0)
    size = engine.runtime_bytes + own + tables + texts
    return Item("runtime", size, f"{engine.kind} {engine.version}, {engine.origin}{told}")


def _stepped(tokens: int, step: int) -> int:
    return ceil(tokens / step) * step
