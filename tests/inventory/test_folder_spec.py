"""Specs of model folders of many families, from small folders with the settings that those families publish."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from inventory.catalog import AttentionShape, ModelSpec, RecurrentShape
from inventory.folder_file import read_folder
from inventory.folder_spec import FolderFormat
from inventory.model_error import FolderError
from support.folder_files import LLAMA, TENSORS, Shapes, write_folder, write_sharded

EMBEDDING: Shapes = {"model.embed_tokens.weight": ("BF16", (32, 64))}


def read(folder: Path) -> tuple[FolderFormat, ModelSpec]:
    return read_folder(folder.name, {path.name: path for path in folder.iterdir()})


def spec_with(directory: Path, config: Mapping[str, object], tensors: Shapes = TENSORS) -> ModelSpec:
    return read(write_folder(directory / "model", config, tensors))[1]


def attention_of(spec: ModelSpec) -> AttentionShape:
    assert spec.attention is not None
    return spec.attention


def keys(rows: int, prefix: str = "model.layers", layers: int = 2) -> Shapes:
    return {f"{prefix}.{layer}.self_attn.k_proj.weight": ("BF16", (rows, 64)) for layer in range(layers)}


def test_a_plain_model_is_read_whole(tmp_path: Path) -> None:
    format, spec = read(write_folder(tmp_path / "tiny"))

    assert format == "safetensors"
    assert (spec.architecture, spec.layers, spec.embedding_size, spec.context_length) == ("llama", 2, 64, 4096)
    assert (spec.parameters, spec.weight_bytes, spec.quantisation) == (4 * 2048, 4 * 4096, "BF16")
    assert spec.attention == AttentionShape(4, (2, 2), 16, 16, None, (), None, None)
    assert (spec.vocabulary_size, spec.tied_embeddings, spec.recurrent, spec.experts) == (32, False, None, None)
    assert spec.capabilities == {"chat", "completion"}
    assert spec.template_hash == hashlib.sha256(b"{{ messages }}").hexdigest()
    assert spec.tokenizer_hash == hashlib.sha256(b'{"model": {"vocab": {}}}').hexdigest()


def test_the_parts_of_a_sharded_model_are_summed(tmp_path: Path) -> None:
    whole, parts = read(write_folder(tmp_path / "one"))[1], read(write_sharded(tmp_path / "three", 3))[1]

    assert parts == whole


def test_a_model_that_mlx_wrote_is_an_mlx_model_even_unquantised(tmp_path: Path) -> None:
    assert read(write_folder(tmp_path / "tiny", written_as="mlx"))[0] == "mlx"
    assert read(write_folder(tmp_path / "plain", written_as=None))[0] == "safetensors"


def test_mlx_quantisation_is_unpacked_to_parameters_layer_by_layer(tmp_path: Path) -> None:
    tensors: Shapes = {
        "model.embed_tokens.weight": ("U32", (32, 16)),  # 8 bits: 4 weights in a word
        "model.embed_tokens.scales": ("BF16", (32, 1)),
        "model.embed_tokens.biases": ("BF16", (32, 1)),
        "model.layers.0.self_attn.k_proj.weight": ("U32", (32, 8)),  # 4 bits: 8 weights in a word
        "model.layers.0.self_attn.k_proj.scales": ("BF16", (32, 1)),
        "model.layers.0.self_attn.k_proj.biases": ("BF16", (32, 1)),
        "model.norm.weight": ("BF16", (64,)),
    }
    own = {"group_size": 64, "bits": 8}
    quantization = {"group_size": 64, "bits": 4, "mode": "affine", "model.embed_tokens": own}
    format, spec = read(write_folder(tmp_path / "tiny", {"quantization": quantization}, tensors))

    assert (format, spec.quantisation) == ("mlx", "mlx-4bit-g64")
    assert spec.parameters == 32 * 64 + 32 * 64 + 64
    assert spec.weight_bytes == 32 * 16 * 4 + 32 * 8 * 4 + 4 * 32 * 2 + 64 * 2
    assert spec.tied_embeddings is True


PACKED: Shapes = {
    **EMBEDDING,
    "model.layers.0.self_attn.k_proj.qweight": ("I32", (64, 4)),
    "model.layers.0.self_attn.k_proj.qzeros": ("I32", (1, 4)),
    "model.layers.0.self_attn.k_proj.scales": ("F16", (1, 32)),
}
COMPRESSED: Shapes = {
    **EMBEDDING,
    "model.layers.0.self_attn.k_proj.weight_packed": ("I32", (32, 8)),
    "model.layers.0.self_attn.k_proj.weight_scale": ("BF16", (32, 1)),
    "model.layers.0.self_attn.k_proj.weight_shape": ("I64", (2,)),
}
FLOAT8: Shapes = {
    **EMBEDDING,
    "model.layers.0.self_attn.k_proj.weight": ("F8_E4M3", (32, 64)),
    "model.layers.0.self_attn.k_proj.weight_scale_inv": ("F32", (1, 1)),
}
HALVES: Shapes = {
    **EMBEDDING,
    "model.layers.0.mlp.experts.down_proj_blocks": ("U8", (2, 32, 16)),
    "model.layers.0.mlp.experts.down_proj_scales": ("U8", (2, 32, 1)),
}
BITSANDBYTES: Shapes = {
    **EMBEDDING,
    "model.layers.0.self_attn.k_proj.weight": ("U8", (1024, 1)),
    "model.layers.0.self_attn.k_proj.weight.absmax": ("U8", (32,)),
}
GROUPS = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int"}}}


@pytest.mark.parametrize(
    ("section", "tensors", "label", "packed"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}, PACKED, "awq-4bit-g128", 64 * 32),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, PACKED, "gptq-8bit", 64 * 16),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, FLOAT8, "fp8", 32 * 64),
        ({"quant_method": "mxfp4"}, HALVES, "mxfp4", 2 * 32 * 32),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, BITSANDBYTES, "bnb-4bit", 2048),
        (
            {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": GROUPS},
            COMPRESSED,
            "compressed-tensors-pack-quantized",
            32 * 64,
        ),
    ],
)
def test_packed_weights_count_as_what_they_stand_for(
    tmp_path: Path, section: Mapping[str, object], tensors: Shapes, label: str, packed: int
) -> None:
    format, spec = read(write_folder(tmp_path / "tiny", {"quantization_config": section}, tensors))

    assert (format, spec.quantisation, spec.parameters) == ("safetensors", label, 32 * 64 + packed)
    assert attention_of(spec).kv_heads == (2, 2)


def test_heads_are_counted_in_the_tensors_that_are_loaded(tmp_path: Path) -> None:
    tensors = {**EMBEDDING, **keys(16, layers=1), "model.layers.1.self_attn.k_proj.weight": ("BF16", (64, 64))}

    assert attention_of(spec_with(tmp_path, {"num_key_value_heads": 2}, tensors)).kv_heads == (1, 4)


@pytest.mark.parametrize(
    ("config", "window", "slides"),
    [
        ({"model_type": "mistral", "sliding_window": 4096}, None, ()),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, None, ()),
        ({"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"]}, 128, (True, False)),
        ({"model_type": "gemma2", "sliding_window": 4096}, 4096, (True, False)),
        ({"model_type": "gemma3_text", "sliding_window": 512}, 512, (True, True)),
        ({"sliding_window": 64, "sliding_window_pattern": "LG"}, 64, (True, False)),
        ({"sliding_window": None, "layer_types": ["full_attention", "full_attention"]}, None, ()),
    ],
)
def test_a_window_counts_only_where_the_config_names_its_layers(
    tmp_path: Path, config: Mapping[str, object], window: int | None, slides: tuple[bool, ...]
) -> None:
    attention = attention_of(spec_with(tmp_path, config))

    assert (attention.sliding_window, attention.sliding_layers) == (window, slides)


def test_wide_global_heads_beside_narrow_sliding_ones(tmp_path: Path) -> None:
    config = {
        "head_dim": 16,
        "global_head_dim": 32,
        "sliding_window": 512,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    attention = attention_of(spec_with(tmp_path, config, {**EMBEDDING, **keys(32)}))

    assert (attention.key_head_size, attention.sliding_key_head_size, attention.kv_heads) == (32, 16, (2, 1))


def test_latent_attention_reports_its_ranks(tmp_path: Path) -> None:
    config = {"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": 128}
    config |= {"qk_nope_head_dim": 128, "v_head_dim": 128}
    tensors = {
        **EMBEDDING,
        **{f"model.layers.{n}.self_attn.kv_a_proj_with_mqa.weight": ("BF16", (576, 8)) for n in (0, 1)},
    }
    attention = attention_of(spec_with(tmp_path, config, tensors))

    assert (attention.kv_lora_rank, attention.rope_head_size, attention.key_head_size) == (512, 64, 576)
    assert attention.kv_heads == (1, 1)
    assert (attention.unpacked_key_head_size, attention.unpacked_value_head_size) == (192, 128)


def test_a_pure_state_space_model_has_no_attention(tmp_path: Path) -> None:
    config = {
        "architectures": ["MambaForCausalLM"],
        "model_type": "mamba",
        "state_size": 16,
        "conv_kernel": 4,
        "expand": 2,
        "num_attention_heads": None,
        "num_key_value_heads": None,
    }
    tensors = {f"backbone.layers.{n}.mixer.A_log": ("F32", (128, 16)) for n in (0, 1)}
    spec = spec_with(tmp_path, config, tensors)

    assert spec.attention is None
    assert spec.recurrent == RecurrentShape((True, True), state_size=16, conv_kernel=4, inner_size=128, group_count=0)


def test_a_hybrid_keeps_keys_only_in_layers_that_hold_attention(tmp_path: Path) -> None:
    config = {
        "model_type": "qwen3_next",
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_conv_kernel_dim": 4,
    }
    tensors = {
        **EMBEDDING,
        "model.layers.0.linear_attn.A_log": ("F32", (4,)),
        "model.layers.1.self_attn.k_proj.weight": ("BF16", (32, 64)),
    }
    spec = spec_with(tmp_path, config, tensors)

    assert attention_of(spec).kv_heads == (0, 2)
    assert spec.recurrent == RecurrentShape((True, False), state_size=8, conv_kernel=4, inner_size=64, group_count=2)


def test_short_convolutions_are_state_without_a_recurrence(tmp_path: Path) -> None:
    tensors = {
        **EMBEDDING,
        "model.layers.0.conv.conv.weight": ("BF16", (64, 1, 3)),
        "model.layers.1.self_attn.k_proj.weight": ("BF16", (32, 64)),
    }
    spec = spec_with(tmp_path, {"model_type": "lfm2", "conv_L_cache": 3}, tensors)

    assert spec.recurrent == RecurrentShape((True, False), state_size=0, conv_kernel=3, inner_size=64, group_count=0)


def test_experts_are_counted_under_any_familys_name(tmp_path: Path) -> None:
    for number, name in enumerate(("num_local_experts", "n_routed_experts", "num_experts")):
        spec = spec_with(tmp_path / str(number), {name: 8, "num_experts_per_tok": 2})
        assert spec.experts is not None
        assert (spec.experts.experts, spec.experts.experts_used) == (8, 2)


def test_the_language_model_of_a_multimodal_one_is_what_counts(tmp_path: Path) -> None:
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        **dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")),
        "text_config": {**LLAMA, "model_type": "gemma3_text", "sliding_window": 512},
        "vision_config": {"num_hidden_layers": 27, "hidden_size": 1152},
    }
    tensors = {
        "language_model.model.embed_tokens.weight": ("BF16", (32, 64)),
        **keys(32, "language_model.model.layers"),
        "vision_tower.vision_model.encoder.layers.0.self_attn.k_proj.weight": ("BF16", (1152, 8)),
    }
    spec = spec_with(tmp_path, config, tensors)

    assert (spec.architecture, spec.layers, attention_of(spec).kv_heads) == ("gemma3", 2, (2, 2))
    assert "vision" in spec.capabilities


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131_072),
        ({"type": "linear", "factor": 2.0}, 8192),
        ({"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8192}, 4096),
        (None, 4096),
    ],
)
def test_the_context_is_what_the_rope_scaling_makes_of_it(
    tmp_path: Path, rope: Mapping[str, object] | None, context: int
) -> None:
    assert spec_with(tmp_path, {"rope_scaling": rope}).context_length == context


@pytest.mark.parametrize(
    ("config", "template", "expected"),
    [
        ({}, None, {"completion"}),
        ({}, "{% if tools %}{% endif %}", {"completion", "chat", "tools"}),
        ({"architectures": ["BertModel"], "model_type": "bert"}, None, {"embed"}),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, None, {"rerank"}),
    ],
)
def test_capabilities_follow_from_what_the_folder_holds(
    tmp_path: Path, config: Mapping[str, object], template: str | None, expected: set[str]
) -> None:
    assert read(write_folder(tmp_path / "tiny", config, template=template))[1].capabilities == expected


def test_an_embedding_model_is_known_by_its_pooling(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "modules.json").write_text("[]")

    assert read(folder)[1].capabilities == {"embed"}


@pytest.mark.parametrize(("trained", "expected"), [("256", 256), ("8192", 4096), ("null", 4096)])
def test_an_encoder_takes_no_longer_texts_than_it_was_trained_with(tmp_path: Path, trained: str, expected: int) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "sentence_bert_config.json").write_text(f'{{"max_seq_length": {trained}, "do_lower_case": false}}')

    assert read(folder)[1].context_length == expected


def test_a_length_that_is_no_number_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "sentence_roberta_config.json").write_text('{"max_seq_length": "long"}')

    with pytest.raises(FolderError, match=r"sentence_roberta_config\.json.*max_seq_length should be a whole number"):
        read(folder)


def test_a_template_of_its_own_beats_the_tokenizers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text("{{ tools }}")
    named = [{"name": "rag", "template": "no"}, {"name": "default", "template": "yes"}]
    many = write_folder(tmp_path / "many")
    (many / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))

    assert read(folder)[1].chat_template == "{{ tools }}"
    assert read(many)[1].chat_template == "yes"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers is missing"),
        ({"num_hidden_layers": 1 << 31}, "must lie between"),
        ({"num_hidden_layers": "2"}, "should be a whole number"),
        ({"hidden_size": True}, "should be a whole number"),
        ({"model_type": "../llama"}, "model_type is missing or no proper name"),
        ({"num_attention_heads": None}, "num_attention_heads is missing"),
        ({"head_dim": 24}, "layer 0 has keys of 32 elements, which heads of 24 do not make up"),
        ({"sliding_window": 8, "layer_types": ["sliding_attention"]}, "layer_types has 1 entries for 2 layers"),
        ({"num_local_experts": 8}, "num_experts_per_tok is missing"),
        ({"num_local_experts": 8, "num_experts_per_tok": 9}, "must lie between"),
        ({"quantization_config": {"quant_method": "\u001b[31m"}}, "which names no method"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 400}}, "must lie between"),
        ({"rope_scaling": {"type": "linear", "factor": 1e300}}, "should be a number between"),
        ({"text_config": []}, "text_config should be an object"),
        ({"architectures": "Llama"}, "architectures should be a list of words"),
        ({"nested": {"deep": [{"auto_map": {}}]}}, "auto_map asks the engine to run Python code"),
        ({"trust_remote_code": True}, "trust_remote_code asks the engine to run Python code"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, config: Mapping[str, object], reason: str) -> None:
    with pytest.raises(FolderError, match=reason):
        spec_with(tmp_path, config)


def test_a_tokenizer_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["tokenization_tiny.Tiny", null]}}')

    with pytest.raises(FolderError, match=r"tokenizer_config\.json.*auto_map asks"):
        read(folder)


def index_of(folder: Path) -> tuple[Path, dict[str, str]]:
    path = folder / "model.safetensors.index.json"
    return path, json.loads(path.read_text())["weight_map"]


def test_an_index_that_contradicts_the_files_is_refused(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "tiny", 2)
    path, weights = index_of(folder)
    one, other = sorted(set(weights.values()))
    lies: list[tuple[dict[str, str], str]] = [
        ({**weights, "lm_head.weight": one}, f"does not say that {other} holds lm_head"),
        ({**weights, "extra.weight": one}, f"{one} does not hold extra"),
        ({**weights, "lm_head.weight": "../../etc/passwd"}, "names weights that are not there"),
    ]
    for weight_map, reason in lies:
        path.write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(FolderError, match=reason):
            read(folder)


def test_several_files_of_weights_need_an_index(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "tiny", 2)
    index_of(folder)[0].unlink()

    with pytest.raises(FolderError, match=r"2 files of weights and no model\.safetensors\.index\.json"):
        read(folder)
