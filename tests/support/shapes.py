"""Shapes of models for tests of what fits: a small one of every family, and a few that everybody knows."""

from dataclasses import replace

from inventory.catalog import AttentionShape, ModelShape, RecurrentShape

GIB = 1 << 30


def attention(layers: int = 32, kv_heads: int = 8, head: int = 128, heads: int = 32) -> AttentionShape:
    return AttentionShape(heads, (kv_heads,) * layers, head, head, None, (), None, None)


def shape(layers: int = 32, width: int = 4096, weights: int = 8 * GIB, **fields: object) -> ModelShape:
    plain = ModelShape("llama", layers, width, 128_256, 131_072, attention(layers), None, None, "Q8_0", weights)
    return replace(plain, **fields)  # type: ignore[arg-type]  # the tests name fields of the shape


DENSE = shape()
SLIDING = shape(
    attention=replace(attention(), sliding_window=1024, sliding_layers=tuple(layer % 6 != 5 for layer in range(32)))
)
COMPRESSED = shape(attention=replace(attention(kv_heads=1), key_head_size=576, kv_lora_rank=512, rope_head_size=64))
HYBRID = shape(
    attention=replace(attention(), kv_heads=tuple(8 if layer % 4 == 3 else 0 for layer in range(32))),
    recurrent=RecurrentShape(tuple(layer % 4 != 3 for layer in range(32)), 128, 4, 8192, 8),
)
ENCODER = shape(attention=replace(attention(), causal=False))
EVERY = {"dense": DENSE, "sliding": SLIDING, "compressed": COMPRESSED, "hybrid": HYBRID, "encoder": ENCODER}
