"""Shapes that people plan with, against figures that their makers publish."""

import pytest

from inventory.known_models import KNOWN, QUANTISATIONS, KnownModel, UnknownQuantisationError, known_model
from inventory.kv_cache import kv_cache_bytes

GIB = 1 << 30


def known(name: str) -> KnownModel:
    model = known_model(name)
    assert model is not None
    return model


@pytest.mark.parametrize(
    ("name", "kib_a_token"),
    [("qwen3-235b-a22b", 188), ("qwen3-32b", 256), ("qwen3-14b", 160), ("llama-3.3-70b", 320), ("llama-3.1-8b", 128)],
)
def test_a_token_costs_what_the_configuration_says(name: str, kib_a_token: int) -> None:
    assert kv_cache_bytes(known(name).shape("bf16"), 1024, 1) == kib_a_token * 1024 * 1024


def test_compressed_attention_and_windows_are_part_of_the_shape() -> None:
    """DeepSeek-V3 keeps 576 elements a token in each of 61 layers; Gemma 3 a full context in 10 of 62."""
    assert kv_cache_bytes(known("deepseek-v3").shape("8bit"), 1000, 1) == 61 * 1000 * 576 * 2
    gemma = kv_cache_bytes(known("gemma-3-27b").shape("8bit"), 32_768, 1)
    assert gemma == (10 * 32_768 + 52 * 1024) * 16 * 256 * 2


@pytest.mark.parametrize(
    ("name", "quantisation", "gib"),
    [
        ("qwen3-235b-a22b", "4bit", 123.2),  # the folder of mlx-community
        ("qwen3-14b", "awq", 9.3),  # Qwen's own AWQ files
        ("llama-3.3-70b", "bf16", 131.4),
        ("llama-3.1-8b", "q8_0", 7.95),
    ],
)
def test_weights_take_what_the_published_files_do(name: str, quantisation: str, gib: float) -> None:
    assert known(name).shape(quantisation).weight_bytes / GIB == pytest.approx(gib, rel=0.02)


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_every_quantisation_of_every_model_is_smaller_than_its_16_bits(model: KnownModel, quantisation: str) -> None:
    shape, full = model.shape(quantisation), model.shape("bf16")

    assert 0 < shape.weight_bytes <= full.weight_bytes == 2 * model.parameters
    assert shape.attention is not None and len(shape.attention.kv_heads) == model.layers


def test_a_quantisation_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownQuantisationError, match="q4_k_m"):
        known("qwen3-14b").shape("5bit")
