"""The peers' formulas give the figures that their documents and the comparison of this project's research give."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.fit.cells import Cell
from bench.fit.peer_formulas import GIB, PeerView, exo, gpustack, localai, ollama
from inventory.catalog import ModelShape
from nodes.snapshot import EngineKind
from support.shapes import DENSE, HYBRID, attention, shape

QWEN3 = shape(layers=28, width=1024, attention=attention(layers=28, kv_heads=8, head=128, heads=16))
GEMMA3 = shape(layers=62, width=5376, attention=attention(layers=62, kv_heads=16, head=128, heads=32))


def _view(model: ModelShape, kind: EngineKind = "llamacpp", size: int = 0, slots: int = 1) -> PeerView:
    return PeerView(Cell("model", kind, 32_768, slots), model, size)


@pytest.mark.parametrize(
    ("model", "formula", "cache_gib"),
    [
        (DENSE, ollama, 4.00),
        (QWEN3, ollama, 1.75),
        (GEMMA3, ollama, 20.34),
        (DENSE, localai, 2.00),
        (QWEN3, localai, 0.50),
    ],
)
def test_a_cache_at_32k_is_what_the_formula_makes_of_the_shape(
    model: ModelShape, formula: Callable[[PeerView], int], cache_gib: float
) -> None:
    without = formula(replace(_view(model), cell=Cell("model", "llamacpp", 0, 1)))

    assert (formula(_view(model)) - without) / GIB == pytest.approx(cache_gib, abs=0.005)


def test_requests_at_once_have_a_cache_each() -> None:
    assert ollama(_view(DENSE, slots=3)) == 3 * ollama(_view(DENSE))


def test_ollama_sees_no_cache_where_some_layer_has_none() -> None:
    assert ollama(_view(HYBRID, size=GIB)) == GIB


def test_gpustack_counts_no_context_and_leaves_gguf_to_another_program() -> None:
    assert gpustack(_view(DENSE, "vllm", size=10 * GIB)) == 14 * GIB
    assert gpustack(_view(DENSE, "llamacpp", size=10 * GIB)) is None


def test_exo_counts_files() -> None:
    assert exo(_view(DENSE, "mlx", size=7 * GIB, slots=8)) == 7 * GIB


def test_localai_takes_two_kib_a_token_for_folders() -> None:
    assert localai(_view(DENSE, "mlx", size=GIB)) == GIB + 2048 * 32_768
