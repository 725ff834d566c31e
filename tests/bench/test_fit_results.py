"""An interrupted run goes on: what is on disk is not measured again, unless artifact or engine has changed."""

from dataclasses import replace
from pathlib import Path

from bench.fit.cells import Cell, Measurement
from bench.fit.memory import Usage
from bench.fit.results import Results, key_of
from nodes.snapshot import MemoryItem
from support.shapes import HYBRID

CELL = Cell("model", "mlx", 512, 2)
MEASURED = Measurement(
    CELL, "1.0", "model-mlx-0a", 5, HYBRID, Usage(3, 1), Usage(7, 1), 1000, (MemoryItem(("weights",), 4),), 1.5
)


def test_what_was_measured_is_found_by_the_next_run(tmp_path: Path) -> None:
    Results(tmp_path / "lines").add(MEASURED)

    assert Results(tmp_path / "lines").get(key_of(MEASURED)) == MEASURED


def test_another_artifact_or_engine_version_is_measured_again(tmp_path: Path) -> None:
    results = Results(tmp_path / "lines")
    results.add(MEASURED)

    assert results.get(key_of(replace(MEASURED, artifact="model-mlx-0b"))) is None
    assert results.get(key_of(replace(MEASURED, engine_version="1.1"))) is None


def test_the_last_measurement_of_a_cell_counts(tmp_path: Path) -> None:
    results = Results(tmp_path / "lines")
    results.add(MEASURED)
    results.add(replace(MEASURED, error="it ended"))

    again = Results(tmp_path / "lines").get(key_of(MEASURED))

    assert again is not None
    assert again.error == "it ended"


def test_a_line_that_was_cut_off_costs_that_line_alone(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    Results(lines).add(MEASURED)
    with lines.open("ab") as file:
        file.write(b'{"cell": {"mod')
    Results(lines).add(replace(MEASURED, artifact="other"))

    assert Results(lines).get(key_of(MEASURED)) is not None
    assert Results(lines).get(key_of(replace(MEASURED, artifact="other"))) is not None
