"""How fast a described machine would serve a model, by arithmetic: memory for answers, operations for prompts. Pure.

A step of answers reads the weights once, whoever is in it, and each request's keys and values; a token of a prompt
costs two operations for each weight that works on it, and looks back at all before it. Of a mixture of experts a
request reads its own few, and no two requests the same.
"""

from dataclasses import dataclass

from inventory.catalog import ModelSpec
from inventory.described import Pace
from inventory.kv_cache import kv_cache_bytes
from nodes.rates import LEAST_DOUBLING_TOKENS, MOST_DOUBLING_TOKENS, Rates

SHORTENED = 20.0  # a load takes so much less than it would: nobody watches half a minute of nothing
CHUNK_S = 0.25  # of a prompt, between two tokens of other answers
MOST_CHUNK_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class SimulatedPace:
    """`load_s` is what it takes here, shortened."""

    rates: Rates
    load_s: float


def pace_of(spec: ModelSpec, machine: Pace) -> SimulatedPace:
    shared, of_experts = _working_parameters(spec)
    bytes_each = spec.weight_bytes / spec.parameters
    prefill = machine.operations_s / (2 * (shared + of_experts))
    token_bytes = kv_cache_bytes(spec, 1, 1) or 0
    rates = Rates(
        prefill=prefill,
        doubling_tokens=_doubling_tokens(spec, shared + of_experts),
        step_s=shared * bytes_each / machine.read_bytes_s,
        step_per_request_s=of_experts * bytes_each / machine.read_bytes_s,
        step_per_token_s=token_bytes / machine.read_bytes_s,
        chunk_tokens=int(min(MOST_CHUNK_TOKENS, max(8, prefill * CHUNK_S))),
    )
    return SimulatedPace(rates, spec.weight_bytes / machine.disk_bytes_s / SHORTENED)


def _working_parameters(spec: ModelSpec) -> tuple[float, float]:
    """Of one token: those that every token needs, and those of its experts."""
    if spec.experts is None:
        return float(spec.parameters), 0.0
    everywhere = min(float(spec.parameters), _outside_experts(spec))
    used = spec.experts.experts_used / spec.experts.experts
    return everywhere, (spec.parameters - everywhere) * used


def _outside_experts(spec: ModelSpec) -> float:
    """Embeddings at both ends, and attention."""
    attention, width = spec.attention, spec.embedding_size
    found = 2.0 * width * (spec.vocabulary_size or 0)
    if attention is not None:
        for kv_heads in attention.kv_heads:
            found += width * 2 * attention.heads * attention.key_head_size
            found += width * kv_heads * (attention.key_head_size + attention.value_head_size)
    return found


def _doubling_tokens(spec: ModelSpec, working: float) -> float:
    """Where looking back costs as much as the weights: two products with every token before it."""
    attention = spec.attention
    if attention is None:
        return MOST_DOUBLING_TOKENS
    each = 2.0 * attention.heads * attention.key_head_size * spec.layers
    return min(MOST_DOUBLING_TOKENS, max(LEAST_DOUBLING_TOKENS, working / each))
