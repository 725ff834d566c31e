"""Specs of models of many families, from small files that carry their metadata."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from inventory.catalog import AttentionShape, ModelSpec, RecurrentShape
from inventory.gguf_file import read_spec
from inventory.gguf_header import GgufError
from support.gguf_files import DENSE, Setting, write_gguf, write_split
from support.packaged_model import smollm2_path


def spec_with(
    directory: Path,
    architecture: str,
    shape: Mapping[str, Setting],
    general: Mapping[str, Setting] | None = None,
    tensors: tuple[str, ...] = ("token_embd.weight",),
) -> ModelSpec:
    return read_spec([write_gguf(directory / "model.gguf", architecture, {**DENSE, **shape}, general, tensors)])


def attention_of(spec: ModelSpec) -> AttentionShape:
    assert spec.attention is not None
    return spec.attention


def test_the_real_model_has_the_shape_its_authors_published() -> None:
    spec = read_spec([smollm2_path()])
    attention = attention_of(spec)

    assert (spec.architecture, spec.layers, spec.embedding_size, spec.context_length) == ("llama", 30, 576, 8192)
    assert (spec.parameters, spec.weight_bytes, spec.quantisation) == (134_515_008, 96_576_768, "Q4_1")
    assert (attention.heads, attention.kv_heads, attention.key_head_size) == (9, (3,) * 30, 64)
    assert (spec.vocabulary_size, spec.tied_embeddings, spec.licence) == (49_152, True, "apache-2.0")
    assert spec.capabilities == {"chat", "completion"}
    assert spec.chat_template is not None
    assert spec.template_hash == hashlib.sha256(spec.chat_template.encode()).hexdigest()
    assert (spec.recurrent, spec.experts, attention.sliding_window, attention.kv_lora_rank) == (None, None, None, None)


def test_a_window_follows_the_rule_of_its_architecture(tmp_path: Path) -> None:
    attention = attention_of(spec_with(tmp_path, "gemma3", {"block_count": 7, "attention.sliding_window": 512}))

    assert attention.sliding_window == 512
    assert attention.sliding_layers == (True, True, True, True, True, False, True)


def test_a_window_that_the_file_spells_out_layer_by_layer_wins(tmp_path: Path) -> None:
    shape: dict[str, Setting] = {
        "attention.sliding_window": 1024,
        "attention.sliding_window_pattern": [True, False],
        "attention.key_length": 512,
        "attention.key_length_swa": 256,
        "attention.value_length_swa": 256,
    }
    attention = attention_of(spec_with(tmp_path, "gemma4", shape))

    assert attention.sliding_layers == (True, False)
    assert (attention.key_head_size, attention.sliding_key_head_size) == (512, 256)


def test_an_architecture_whose_window_engines_ignore_gets_full_attention(tmp_path: Path) -> None:
    attention = attention_of(spec_with(tmp_path, "phi3", {"attention.sliding_window": 2047}))

    assert (attention.sliding_window, attention.sliding_layers) == (None, ())


def test_gpt_oss_alternates_and_counts_its_experts(tmp_path: Path) -> None:
    shape = {"attention.sliding_window": 128, "expert_count": 32, "expert_used_count": 4}
    spec = spec_with(tmp_path, "gpt-oss", shape)

    assert attention_of(spec).sliding_layers == (True, False)
    assert spec.experts is not None
    assert (spec.experts.experts, spec.experts.experts_used) == (32, 4)


def test_kv_heads_may_differ_from_layer_to_layer(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, "deci", {"attention.head_count": [4, 8], "attention.head_count_kv": [0, 2]})

    assert (attention_of(spec).heads, attention_of(spec).kv_heads) == (8, (0, 2))


def test_absorbed_mla_reports_its_ranks(tmp_path: Path) -> None:
    shape = {
        "attention.head_count": 128,
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "attention.kv_lora_rank": 512,
        "rope.dimension_count": 64,
    }
    attention = attention_of(spec_with(tmp_path, "deepseek2", shape))

    assert (attention.kv_lora_rank, attention.rope_head_size, attention.key_head_size) == (512, 64, 576)
    assert attention.kv_heads == (1, 1)
    assert (attention.unpacked_key_head_size, attention.unpacked_value_head_size) == (192, 128)


def test_mla_of_an_old_conversion_is_cached_as_whole_heads(tmp_path: Path) -> None:
    shape = {"attention.kv_lora_rank": 512, "attention.key_length": 192, "attention.value_length": 128}
    attention = attention_of(spec_with(tmp_path, "deepseek2", shape))

    assert (attention.kv_lora_rank, attention.key_head_size, attention.value_head_size) == (None, 192, 128)


SSM: dict[str, Setting] = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 128,
    "ssm.state_size": 16,
    "ssm.group_count": 1,
    "ssm.time_step_rank": 8,
}


def test_a_pure_state_space_model_has_no_attention(tmp_path: Path) -> None:
    shape = {**SSM, "attention.head_count": 0}
    spec = spec_with(tmp_path, "mamba", shape, tensors=("blk.0.ssm_a", "blk.1.ssm_a"))

    assert spec.attention is None
    assert spec.recurrent == RecurrentShape((True, True), state_size=16, conv_kernel=4, inner_size=128, group_count=1)


def test_a_hybrid_keeps_keys_only_in_layers_that_hold_attention(tmp_path: Path) -> None:
    tensors = ("blk.0.ssm_a", "blk.0.attn_qkv.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight")
    spec = spec_with(tmp_path, "qwen3next", SSM, tensors=tensors)

    assert attention_of(spec).kv_heads == (0, 2)
    assert spec.recurrent is not None
    assert spec.recurrent.layers == (True, False)


def test_a_parallel_hybrid_has_both_in_every_layer(tmp_path: Path) -> None:
    tensors = ("blk.0.ssm_a", "blk.0.attn_k.weight", "blk.1.ssm_a", "blk.1.attn_k.weight")
    spec = spec_with(tmp_path, "falcon-h1", SSM, tensors=tensors)

    assert attention_of(spec).kv_heads == (2, 2)
    assert spec.recurrent is not None
    assert spec.recurrent.layers == (True, True)


def test_short_convolutions_are_state_without_a_recurrence(tmp_path: Path) -> None:
    shape: dict[str, Setting] = {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 2]}
    spec = spec_with(tmp_path, "lfm2", shape, tensors=("blk.0.shortconv.conv.weight", "blk.1.attn_k.weight"))

    assert spec.recurrent == RecurrentShape((True, False), state_size=0, conv_kernel=3, inner_size=64, group_count=0)


def test_rwkv_state_fits_the_same_formula(tmp_path: Path) -> None:
    shape = {"attention.head_count": 0, "wkv.head_size": 16, "token_shift_count": 2}
    spec = spec_with(tmp_path, "rwkv7", shape, tensors=("blk.0.time_mix_k.weight", "blk.1.time_mix_k.weight"))

    assert spec.recurrent == RecurrentShape((True, True), state_size=16, conv_kernel=3, inner_size=64, group_count=0)


def test_layers_that_share_keys_or_only_predict_keep_none(tmp_path: Path) -> None:
    shared = attention_of(spec_with(tmp_path, "gemma4", {"attention.shared_kv_layers": 1}))
    predicting = attention_of(spec_with(tmp_path, "glm4moe", {"nextn_predict_layers": 1}))

    assert (shared.kv_heads, predicting.kv_heads) == ((2, 0), (2, 0))


@pytest.mark.parametrize(
    ("architecture", "shape", "general", "expected"),
    [
        ("llama", {}, {}, {"completion"}),
        ("llama", {}, {"tokenizer.chat_template": "{{ messages }}"}, {"completion", "chat"}),
        ("qwen3", {}, {"tokenizer.chat_template": "{% if tools %}{% endif %}"}, {"completion", "chat", "tools"}),
        ("qwen3", {"pooling_type": 3}, {"tokenizer.chat_template": "{{ messages }}"}, {"embed"}),
        ("bert", {"attention.causal": False}, {}, {"embed"}),
        ("bert", {"pooling_type": 4}, {}, {"rerank"}),
    ],
)
def test_capabilities_follow_from_what_the_file_holds(
    tmp_path: Path, architecture: str, shape: dict[str, Setting], general: dict[str, Setting], expected: set[str]
) -> None:
    assert spec_with(tmp_path, architecture, shape, general).capabilities == expected


def test_an_encoder_is_not_causal(tmp_path: Path) -> None:
    assert not attention_of(spec_with(tmp_path, "bert", {})).causal


def test_a_projector_beside_the_model_lets_it_see(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "model.gguf")
    projector = write_gguf(tmp_path / "mmproj.gguf", "clip", {}, {"clip.has_vision_encoder": True})

    assert "vision" in read_spec([model], projector).capabilities
    with pytest.raises(GgufError, match="vision projector; import a directory"):
        read_spec([projector])
    with pytest.raises(GgufError, match="not a vision projector"):
        read_spec([model], model)


def test_the_tokenizer_hash_ignores_the_template_and_sees_the_vocabulary(tmp_path: Path) -> None:
    tokens: dict[str, Setting] = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b"]}
    plain = spec_with(tmp_path, "llama", {}, tokens)
    chatty = spec_with(tmp_path, "llama", {}, {**tokens, "tokenizer.chat_template": "{{ messages }}"})
    other = spec_with(tmp_path, "llama", {}, {**tokens, "tokenizer.ggml.tokens": ["a", "c"]})

    assert plain.tokenizer_hash == chatty.tokenizer_hash != other.tokenizer_hash
    assert plain.vocabulary_size == 2


def test_the_parts_of_a_split_model_are_summed(tmp_path: Path) -> None:
    spec = read_spec(write_split(tmp_path, "model", 3))

    assert (spec.parameters, spec.weight_bytes) == (3 * 256, 3 * 1024)


def test_parts_that_are_missing_or_out_of_order_are_named(tmp_path: Path) -> None:
    first, second, third = write_split(tmp_path, "model", 3)

    with pytest.raises(GgufError, match="one of 3 parts, but 2 were given"):
        read_spec([first, second])
    with pytest.raises(GgufError, match="it is part 3, where part 2 belongs"):
        read_spec([first, third, second])


@pytest.mark.parametrize(
    ("shape", "general", "reason"),
    [
        ({"block_count": 1 << 31}, {}, "must lie between"),
        ({"block_count": "2"}, {}, "should be a whole number"),
        ({"embedding_length": True}, {}, "should be a whole number"),
        ({"attention.head_count_kv": [2]}, {}, "has 1 entries for 2 layers"),
        ({"attention.key_length": 0}, {}, "must lie between"),
        ({"expert_count": 8}, {}, "expert_used_count is missing"),
        ({"expert_count": 8, "expert_used_count": 9}, {}, "must lie between"),
        ({}, {"tokenizer.chat_template": 5}, "should be text"),
        ({}, {"general.type": "adapter"}, "LoRA adapter"),
    ],
)
def test_metadata_that_cannot_be_is_refused(
    tmp_path: Path, shape: dict[str, Setting], general: dict[str, Setting], reason: str
) -> None:
    with pytest.raises(GgufError, match=reason):
        spec_with(tmp_path, "llama", shape, general)
