"""Bytes of keys and values, against shapes whose figures are known."""

from dataclasses import replace

from inventory.catalog import AttentionShape, ModelSpec, RecurrentShape
from inventory.gguf_file import read_spec
from inventory.kv_cache import BlockCache, block_cache, cache_parts, kv_cache_bytes
from support.packaged_model import smollm2_path


def shape(**fields: object) -> AttentionShape:
    plain = AttentionShape(
        heads=8,
        kv_heads=(2, 2),
        key_head_size=64,
        value_head_size=64,
        sliding_window=None,
        sliding_layers=(),
        kv_lora_rank=None,
        rope_head_size=None,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]  # the tests name fields of the shape


def spec_of(attention: AttentionShape | None, recurrent: RecurrentShape | None = None) -> ModelSpec:
    return replace(read_spec([smollm2_path()]), attention=attention, recurrent=recurrent)


def test_the_real_model_takes_what_llama_cpp_reports_for_it() -> None:
    """45 MiB for 2,048 tokens: 30 layers of 3 heads, keys and values, 64 elements each, 2 bytes."""
    assert kv_cache_bytes(read_spec([smollm2_path()]), 2048, 1) == 45 * 2**20


def test_every_slot_takes_a_context_of_its_own() -> None:
    assert kv_cache_bytes(spec_of(shape()), 1000, 3) == 1000 * 3 * 2 * 2 * (64 + 64) * 2


def test_a_sliding_layer_takes_no_more_than_its_window() -> None:
    sliding = shape(sliding_window=100, sliding_layers=(True, False))

    assert kv_cache_bytes(spec_of(sliding), 1000, 1) == (100 + 1000) * 2 * (64 + 64) * 2


def test_a_compressed_cache_has_one_vector_a_token() -> None:
    compressed = shape(kv_lora_rank=512, key_head_size=576)

    assert kv_cache_bytes(spec_of(compressed), 1000, 1) == 1000 * 2 * 576 * 2


def test_where_the_shape_is_not_attention_alone_it_is_unknown() -> None:
    recurrent = RecurrentShape((True, False), 1, 1, 1, 1)

    assert kv_cache_bytes(spec_of(None), 1000, 1) is None
    assert kv_cache_bytes(spec_of(shape(), recurrent), 1000, 1) is None
    assert kv_cache_bytes(spec_of(shape(causal=False)), 1000, 1) is None


def test_where_states_lie_in_blocks_a_block_is_as_long_as_a_state_needs() -> None:
    """One layer of attention in ten: vLLM reports 28 blocks for a request, of 640 tokens where a state is bfloat16."""
    mamba = RecurrentShape((True,) * 5 + (False,) + (True,) * 4, 128, 4, 1024, 1)
    model = spec_of(shape(kv_heads=(0,) * 5 + (2,) + (0,) * 4), mamba)
    block = 1152 * 2 * (64 + 64) * 2

    assert block_cache(model) == BlockCache(512, block * (1 + 9 * 3), block)
    assert cache_parts(model, 512, 2) == (512 * 2 * 512, 2 * block * 28 + block)
    assert cache_parts(model, 512, 2, 700)[0] == 512 * 700


def test_layers_are_kept_in_groups_of_one_size() -> None:
    """Three layers of attention and seven convolutions: groups of three, so that two layers of states stay empty."""
    convolution = RecurrentShape(tuple(layer not in (2, 5, 8) for layer in range(10)), 0, 3, 512, 0)
    three = shape(kv_heads=tuple(4 * (layer in (2, 5, 8)) for layer in range(10)))
    block = 128 * 4 * (64 + 64) * 2
    alike = RecurrentShape((True, True, True, False, False), 0, 3, 512, 0)

    assert block_cache(spec_of(three, convolution)) == BlockCache(3 * 1024, 3 * block * (1 + 3 * 3), 3 * block)
    assert block_cache(spec_of(shape(kv_heads=(0, 0, 0, 4, 4)), alike)) == BlockCache(
        2 * 1024, 2 * block * 7, 2 * block
    )


def test_a_model_without_states_has_no_blocks_for_them() -> None:
    assert block_cache(spec_of(shape())) is None
    assert cache_parts(spec_of(shape()), 1000, 3) == (kv_cache_bytes(spec_of(shape()), 1000, 3), 0)
    assert cache_parts(spec_of(None), 1000, 3) == (None, 0)
