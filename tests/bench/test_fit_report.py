"""Errors are relative to what was measured, peers are judged where they run, and the result leaves nothing out."""

from dataclasses import replace

import pytest

from bench.fit.cells import Cell, Measurement
from bench.fit.memory import Usage
from bench.fit.report import MIB, Row, cell_table, failures, item_table, peer_table, result_line, rows_of
from cluster.fit import Item, Need
from nodes.snapshot import EngineKind, MemoryItem
from support.shapes import DENSE


def _measurement(model: str, kind: EngineKind, took_mib: int, accounts: tuple[MemoryItem, ...] = ()) -> Measurement:
    rest = Usage(took_mib * MIB // 2)
    cell = Cell(model, kind, 512, 2)
    return Measurement(cell, "1.0", model, 100 * MIB, DENSE, rest, Usage(took_mib * MIB), 1000, accounts)


def _predict_100_mib(measurement: Measurement) -> Need:
    return Need((Item("weights", 80 * MIB, ""), Item("kv cache", 20 * MIB, "")))


def _rows(*measurements: Measurement) -> tuple[Row, ...]:
    return rows_of(measurements, _predict_100_mib)


def test_the_result_is_the_median_distance_and_the_worst_that_was_predicted_too_low() -> None:
    taken = {"first": 80, "second": 104, "third": 102}
    rows = _rows(*(_measurement(model, "llamacpp", took_mib) for model, took_mib in taken.items()))

    assert result_line(rows) == "RESULT fit shapes=3 cells=3 median_error=3.8% max_under_prediction=3.8%"


def test_predictions_that_are_all_too_high_have_no_under_prediction() -> None:
    assert "max_under_prediction=0.0%" in result_line(_rows(_measurement("only", "llamacpp", 80)))


def test_a_model_under_two_engines_is_one_shape_and_two_cells() -> None:
    rows = _rows(_measurement("same", "llamacpp", 100), _measurement("same", "mlx", 100))

    assert result_line(rows).startswith("RESULT fit shapes=1 cells=2 ")


def test_what_was_not_measured_is_unknown_and_never_zero() -> None:
    expected = "RESULT fit shapes=0 cells=0 median_error=unknown max_under_prediction=unknown"
    assert result_line(()) == expected


def test_a_cell_that_an_engine_cannot_do_quotes_it_and_is_no_row() -> None:
    refused = replace(_measurement("odd", "vllm", 1), peak=None, error="it ended with status 1: no such architecture")

    assert _rows(refused) == ()
    assert failures([refused]) == "odd under vllm, 2 x 512 tokens: it ended with status 1: no such architecture"


def test_a_row_shows_what_was_taken_and_predicted_and_how_far_every_peer_is_off() -> None:
    line = cell_table(_rows(_measurement("model", "vllm", 125))).splitlines()[1].split()

    assert line[:9] == ["model", "vllm", "2", "x", "512", "62", "125", "100", "-20.0%"]
    assert len(line) == 9 + 4


def test_an_item_is_held_against_what_the_engine_says_of_the_same_terms() -> None:
    accounts = (
        MemoryItem(("weights",), 100 * MIB),
        MemoryItem(("kv cache",), 10 * MIB),
        MemoryItem(("compute buffers",), 0),
    )
    table = item_table(_rows(_measurement("model", "llamacpp", 120, accounts)))

    assert [line.split() for line in table.splitlines()[1:]] == [
        ["llamacpp", "weights", "1", "-20.0%", "-20.0%", "-20.0%"],
        ["llamacpp", "kv", "cache", "1", "+100.0%", "+100.0%", "+100.0%"],
    ]


@pytest.mark.parametrize(("kind", "judged"), [("vllm", ["GPUStack", "LocalAI"]), ("mlx", ["exo", "Ollama", "LocalAI"])])
def test_a_peer_is_judged_only_on_engines_that_it_runs(kind: EngineKind, judged: list[str]) -> None:
    lines = peer_table(_rows(_measurement("model", kind, 120))).splitlines()[1:]

    assert [line.split()[0] for line in lines] == ["potluck", *judged]
