"""Which cells a model has under an engine."""

from bench.fit.__main__ import cells
from bench.fit.cells import Cell
from bench.fit.models import BenchModel
from support.shapes import shape

MODEL = BenchModel("model", "llama", {})


def test_a_model_has_a_cell_for_each_context() -> None:
    assert cells(MODEL, "mlx", shape(), (512, 2048), 2) == [Cell("model", "mlx", 512, 2), Cell("model", "mlx", 2048, 2)]


def test_a_context_beyond_the_one_it_was_trained_for_becomes_that_one_and_is_measured_once() -> None:
    short = shape(context_length=1024)

    assert [cell.context_tokens for cell in cells(MODEL, "mlx", short, (512, 2048, 8192), 2)] == [512, 1024]
