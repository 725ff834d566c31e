"""Conversion of small models of the llama family, by the same child process as the product's."""

import json
import shutil
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
import pytest

from inventory.clock import SystemClock
from inventory.store import ModelStore
from inventory.store_records import ModelNotFoundError
from nodes.convert import RECORD, Conversion, ConversionError, convert
from nodes.engine_envs import MARKER, EngineEnvironment
from support.gguf_files import write_gguf

Array = np.ndarray[Any, np.dtype[np.float32]]
HEADS, KV_HEADS, HEAD_SIZE, SIZE, INNER, WORDS = 4, 2, 16, 64, 32, 5
TOKENS = ["<|end|>", "a", "b", "ab", "<user>"]
TYPES = [3, 1, 1, 1, 4]


def weights() -> dict[str, Array]:
    """One layer, under the names of transformers."""
    random = np.random.default_rng(7)
    layer = "model.layers.0."
    shapes = {
        "model.embed_tokens.weight": (WORDS, SIZE),
        f"{layer}input_layernorm.weight": (SIZE,),
        f"{layer}self_attn.q_proj.weight": (HEADS * HEAD_SIZE, SIZE),
        f"{layer}self_attn.k_proj.weight": (KV_HEADS * HEAD_SIZE, SIZE),
        f"{layer}self_attn.v_proj.weight": (KV_HEADS * HEAD_SIZE, SIZE),
        f"{layer}self_attn.o_proj.weight": (SIZE, HEADS * HEAD_SIZE),
        f"{layer}post_attention_layernorm.weight": (SIZE,),
        f"{layer}mlp.gate_proj.weight": (INNER, SIZE),
        f"{layer}mlp.up_proj.weight": (INNER, SIZE),
        f"{layer}mlp.down_proj.weight": (SIZE, INNER),
        "model.norm.weight": (SIZE,),
    }
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write_llama(path: Path, settings: Mapping[str, int | str] | None = None) -> dict[str, Array]:
    """A model as llama.cpp's own converter writes it: q and k interleaved for its kind of rope."""
    original = weights()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types(TYPES)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_chat_template("{{ messages[0].content }}")
    for key, value in (settings or {}).items():
        writer.add_uint32(key, value) if isinstance(value, int) else writer.add_string(key, value)
    for name, values in original.items():
        heads = HEADS if "q_proj" in name else KV_HEADS if "k_proj" in name else None
        writer.add_tensor(str(names.get_name(name, (".weight",))), values if heads is None else permuted(values, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return original


def permuted(values: Array, heads: int) -> Array:
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_safetensors(path: Path) -> dict[str, Array]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            bits = np.frombuffer(content[begin:end], "<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).reshape(entry["shape"])
    return tensors


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", SystemClock())


@pytest.fixture
def engines_dir(tmp_path: Path) -> Path:
    """An environment whose python is that of the tests, which has numpy and gguf as well."""
    python = tmp_path / "engines" / "vllm" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    marker = EngineEnvironment("vllm", "1", str(python), "lock", 0.0, build="cpu")
    (python.parents[1] / MARKER).write_bytes(msgspec.json.encode(marker))
    return tmp_path / "engines"


def test_weights_get_the_names_and_the_order_of_transformers_in_bfloat16(
    tmp_path: Path, store: ModelStore, engines_dir: Path
) -> None:
    original = write_llama(tmp_path / "model.gguf")
    source = store.import_path(tmp_path / "model.gguf", "tiny")
    steps: list[tuple[int, int | None]] = []

    made = convert(
        store, engines_dir, Conversion("tiny", "safetensors"), lambda done, total: steps.append((done, total))
    )
    folder = store.main_path(made.artifact.artifact_id)
    converted = read_safetensors(folder / "model.safetensors")

    assert converted.keys() == original.keys()
    for name, values in original.items():
        np.testing.assert_allclose(converted[name], values, rtol=2**-8, err_msg=name)
    assert (made.artifact.format, made.name) == ("safetensors", "tiny")
    assert made.artifact.source == f"converted:gguf:{source.artifact.artifact_id[:12]}"
    assert json.loads((folder / RECORD).read_text())["source_artifact"] == source.artifact.artifact_id
    assert {format.artifact.format for format in store.artifacts("tiny")} == {"gguf", "safetensors"}
    assert (sum(2 * values.size for values in original.values()),) * 2 in steps
    assert list((store.root / "downloads").iterdir()) == []


def test_settings_say_what_the_file_said(tmp_path: Path, store: ModelStore, engines_dir: Path) -> None:
    write_llama(tmp_path / "model.gguf")
    source = store.import_path(tmp_path / "model.gguf", "tiny").artifact.spec
    made = convert(store, engines_dir, Conversion("tiny", "safetensors")).artifact
    folder = store.main_path(made.artifact_id)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())

    # mlx-lm reads the one, transformers the other, and each takes 10000 without a word where its own is missing.
    assert (config["rope_theta"], config["rope_parameters"]["rope_theta"]) == (500000.0, 500000.0)
    assert (config["tie_word_embeddings"], config["vocab_size"], config["eos_token_id"]) == (True, WORDS, 0)
    assert tokenizer["model"]["vocab"] == {token: number for number, token in enumerate(TOKENS)}
    assert [(one["content"], one["special"]) for one in tokenizer["added_tokens"]] == [
        ("<|end|>", True),
        ("<user>", False),
    ]
    assert [one["type"] for one in tokenizer["pre_tokenizer"]["pretokenizers"]] == ["Digits", "ByteLevel"]
    for fact in ("parameters", "layers", "context_length", "attention", "vocabulary_size", "template_hash"):
        assert getattr(made.spec, fact) == getattr(source, fact), fact


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"llama.rope.scaling.type": "yarn"}, "it sets llama.rope.scaling.type"),
        ({"llama.expert_count": 8, "llama.expert_used_count": 2}, "it sets llama.expert_"),
        ({"tokenizer.ggml.pre": "of-tomorrow"}, "split as of-tomorrow"),
    ],
)
def test_what_it_does_not_know_exactly_it_refuses(
    settings: dict[str, int | str], reason: str, tmp_path: Path, store: ModelStore, engines_dir: Path
) -> None:
    write_llama(tmp_path / "model.gguf", settings)
    store.import_path(tmp_path / "model.gguf", "tiny")

    with pytest.raises(ConversionError, match=reason):
        convert(store, engines_dir, Conversion("tiny", "safetensors"))
    assert [model.artifact.format for model in store.list()] == ["gguf"]
    assert list((store.root / "downloads").iterdir()) == []


def test_another_family_is_refused_by_its_name(tmp_path: Path, store: ModelStore, engines_dir: Path) -> None:
    store.import_path(write_gguf(tmp_path / "model.gguf", "qwen3"), "other")

    with pytest.raises(ConversionError, match="it is a qwen3 model"):
        convert(store, engines_dir, Conversion("other", "safetensors"))


def test_without_tools_or_sense_nothing_is_begun(tmp_path: Path, store: ModelStore, engines_dir: Path) -> None:
    write_llama(tmp_path / "model.gguf")
    store.import_path(tmp_path / "model.gguf", "tiny")
    convert(store, engines_dir, Conversion("tiny", "safetensors"))

    with pytest.raises(ConversionError, match="run: potluck engines install mlx"):
        convert(store, engines_dir, Conversion("tiny", "mlx"))
    with pytest.raises(ConversionError, match="only MLX artifacts are quantised"):
        convert(store, engines_dir, Conversion("tiny", "safetensors", bits=4))
    with pytest.raises(ConversionError, match="potluck models rm tiny --format safetensors"):
        convert(store, engines_dir, Conversion("tiny", "safetensors"))
    with pytest.raises(ModelNotFoundError):
        convert(store, engines_dir, Conversion("absent", "safetensors"))
    shutil.rmtree(engines_dir)
    store.remove("tiny", "safetensors")
    with pytest.raises(ConversionError, match="the tools of vllm or mlx"):
        convert(store, engines_dir, Conversion("tiny", "safetensors"))
