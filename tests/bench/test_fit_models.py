import json
from pathlib import Path

import pytest

from bench.fit import make_hf, write_gguf
from bench.fit.variants import VARIANTS, Config, Latent, Size, deepseek, gemma3, granite, lfm2, llama, mixtral, qwen3
from inventory.catalog import AttentionShape, ExpertShape, ModelSpec, RecurrentShape
from inventory.model_files import find_model_files
from inventory.model_reader import read_model

SMALL = Size(layers=3, width=64, heads=4, own=2, inner=128, vocabulary=48)
FAMILIES: dict[str, Config] = {
    "llama": llama(SMALL, head=32),
    "qwen3": qwen3(SMALL, head=32),
    "gemma3": gemma3(Size(7, 64, 4, 1, 128, 48), head=32, window=16),
    "mixtral": mixtral(SMALL, experts=4),
    "deepseek": deepseek(SMALL, Latent(rank=64, turned=32, plain=32, value=32, query_rank=32), experts=4, used=2),
    "lfm2": lfm2(SMALL, attention=[1]),
    "granite": granite(SMALL, attention=[2], state=32),
}


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """Five tokens, of which one is special and one is merged of two others."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    vocabulary = {"<end>": 0, "a": 1, "b": 2, "ab": 3, "c": 4}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"]]}
    added = [{"id": 0, "content": "<end>", "special": True}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added, "model": model}))
    for name in make_hf.ALSO:
        (folder / name).write_text("{}")
    return folder


def made(tokenizer: Path, config: Config, name: str = "model") -> Path:
    folder = tokenizer.with_name(name)
    folder.mkdir()
    make_hf.main(["--source", str(tokenizer), "--target", str(folder), "--config", json.dumps(dict(config))])
    return folder


def as_gguf(folder: Path, kind: str = "Q8_0") -> Path:
    path = folder.with_suffix(".gguf")
    write_gguf.main(["--source", str(folder), "--target", str(path), "--type", kind])
    return path


def spec_of(path: Path) -> ModelSpec:
    return read_model(str(path), find_model_files(path))[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_has_the_same_shape_in_either_format(tokenizer: Path, family: str) -> None:
    folder = made(tokenizer, FAMILIES[family])

    ours, theirs = spec_of(folder), spec_of(as_gguf(folder))

    assert ours.attention == theirs.attention
    assert ours.recurrent == theirs.recurrent
    assert ours.experts == theirs.experts
    assert ours.context_length == theirs.context_length
    assert (ours.layers, ours.embedding_size, ours.vocabulary_size) == (
        theirs.layers,
        theirs.embedding_size,
        theirs.vocabulary_size,
    )
    assert (ours.parameters, ours.tied_embeddings) == (theirs.parameters, theirs.tied_embeddings)


def test_heads_may_be_wider_than_the_embedding_divided_by_them(tokenizer: Path) -> None:
    attention = spec_of(made(tokenizer, FAMILIES["llama"])).attention

    assert attention == AttentionShape(4, (2, 2, 2), 32, 32, None, (), None, None)


def test_gemma_sees_a_window_in_five_of_six_layers(tokenizer: Path) -> None:
    attention = spec_of(made(tokenizer, FAMILIES["gemma3"])).attention

    assert attention is not None
    assert attention.sliding_window == 16
    assert attention.sliding_layers == (True, True, True, True, True, False, True)


def test_deepseek_caches_one_compressed_vector_a_token(tokenizer: Path) -> None:
    spec = spec_of(made(tokenizer, FAMILIES["deepseek"]))

    assert spec.attention == AttentionShape(
        4, (1, 1, 1), 96, 64, None, (), 64, 32, unpacked_key_head_size=64, unpacked_value_head_size=32
    )
    assert spec.experts == ExpertShape(4, 2)


def test_hybrids_keep_state_in_the_layers_without_attention(tokenizer: Path) -> None:
    convolving, selective = (spec_of(made(tokenizer, FAMILIES[name], name)) for name in ("lfm2", "granite"))

    assert convolving.recurrent == RecurrentShape((True, False, True), 0, 3, 64, 0)
    assert convolving.attention is not None
    assert convolving.attention.kv_heads == (0, 2, 0)
    assert selective.recurrent == RecurrentShape((True, True, False), 32, 4, 128, 1)


def test_the_same_config_gives_the_same_weights(tokenizer: Path) -> None:
    first, second = (made(tokenizer, FAMILIES["qwen3"], name) for name in ("first", "second"))

    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_a_vocabulary_is_padded_or_cut_and_keeps_only_merges_of_what_is_left(tokenizer: Path) -> None:
    whole = json.loads((tokenizer / "tokenizer.json").read_text())

    assert make_hf.resized(whole, 6)["model"]["vocab"]["[PAD5]"] == 5
    assert make_hf.resized(whole, 4)["model"]["merges"] == [["a", "b"]]
    assert make_hf.resized(whole, 3)["model"] == {"type": "BPE", "vocab": {"<end>": 0, "a": 1, "b": 2}, "merges": []}


def test_the_bench_has_the_shapes_it_promises_and_three_more_to_calibrate_on() -> None:
    in_table = [variant for variant in VARIANTS if not variant.calibrates]

    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    assert sum(variant.config is not None for variant in in_table) >= 16
    assert {variant.family for variant in in_table} == set(FAMILIES)
    assert len(VARIANTS) - len(in_table) == 3
