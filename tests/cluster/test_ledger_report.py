"""Error by item: by the engine's own figures, by what they leave of the peak, and in total."""

import pytest

from cluster.fit import Workload, need_of
from cluster.fit_ledger import LedgerRow, corrected
from cluster.ledger_report import LedgerDocument, ledger_document
from nodes.snapshot import MemoryItem
from support.ledgers import MIB, start
from support.shapes import DENSE

LLAMACPP = Workload("llamacpp", DENSE, 8192, 4)
MLX = Workload("mlx", DENSE, 8192, 4, accelerated=True)
NEED = need_of(LLAMACPP)
WEIGHTS, CACHE = NEED.of("weights"), NEED.of("kv cache")


def document(*rows: LedgerRow, node: str | None = None) -> LedgerDocument:
    return ledger_document(rows, lambda build: corrected(build, [row for row in rows if row.build == build]), node)


def errors(told: LedgerDocument) -> dict[str, tuple[float, float, float]]:
    return {one.item: (one.median, one.least, one.most) for one in told.engines[0].errors}


def test_each_item_is_held_against_what_the_engine_says_of_it() -> None:
    exact = (MemoryItem(("weights",), WEIGHTS), MemoryItem(("kv cache",), CACHE))
    twice = (MemoryItem(("weights",), WEIGHTS), MemoryItem(("kv cache",), 2 * CACHE))
    rows = [start(LLAMACPP, 0, 1, exact), start(LLAMACPP, CACHE, 2, twice), start(LLAMACPP, 0, 3, exact)]

    found = errors(document(*rows))

    assert found["weights"] == (0.0, 0.0, 0.0)
    assert found["kv cache"] == (0.0, -0.5, 0.0)
    assert found["total"] == pytest.approx((0.0, NEED.total_bytes / (NEED.total_bytes + CACHE) - 1, 0.0))


def test_what_the_engines_figures_leave_of_the_peak_is_the_runtime() -> None:
    told = tuple(
        MemoryItem((item.term,), item.size_bytes) for item in NEED.items if item.term not in ("runtime", "safety")
    )
    overhead = NEED.of("runtime") + NEED.of("safety")

    found = errors(document(start(LLAMACPP, overhead, told=told)))

    assert found["runtime + safety"] == pytest.approx((-0.5, -0.5, -0.5))


def test_of_what_is_kept_for_earlier_prompts_any_part_is_right() -> None:
    kept = need_of(MLX).of("kept prompts")
    assert kept > 0

    for over in (0, -kept // 2, -kept):
        assert errors(document(start(MLX, over)))["total"] == (0.0, 0.0, 0.0)
    assert errors(document(start(MLX, -2 * kept)))["total"][0] > 0
    assert errors(document(start(MLX, kept)))["total"][0] < 0


def test_engines_are_told_apart_by_node_and_version_and_one_node_can_be_asked_for() -> None:
    other = start(LLAMACPP, 100 * MIB)
    rows = [start(LLAMACPP), start(MLX), start(LLAMACPP, number=2)]

    told = document(*rows, other)

    engines = [(one.node, one.engine, len(one.starts)) for one in told.engines]
    assert engines == [("box", "llamacpp", 3), ("box", "mlx", 1)]
    assert told.engines[0].shift_bytes == 104 * MIB
    assert document(*rows, node="other").engines == ()
