"""`potluck fit --ledger` as people read it."""

from cli.render_ledger import ledger_text
from cluster.fit import Workload, need_of
from cluster.fit_ledger import LedgerRow, corrected
from cluster.ledger_report import LedgerDocument, ledger_document
from nodes.snapshot import MemoryItem
from support.ledgers import MIB, start
from support.shapes import DENSE

LLAMACPP = Workload("llamacpp", DENSE, 8192, 4)


def document(*rows: LedgerRow, node: str | None = None) -> LedgerDocument:
    return ledger_document(rows, lambda build: corrected(build, rows), node)


def test_without_corrections_and_starts_it_says_so() -> None:
    assert ledger_text(document(node="box"), "box") == "no engine has been measured on box so far"
    text = ledger_text(document(start(LLAMACPP)), None)
    assert "correction: none: 1 start on this node took no more than was predicted" in text


def test_the_table_shows_starts_items_and_the_correction() -> None:
    exact = (MemoryItem(("weights",), need_of(LLAMACPP).of("weights")),)
    rows = (start(LLAMACPP, 100 * MIB, 1, exact), start(LLAMACPP, 0, 2, exact, served=False))

    lines = ledger_text(document(*rows), None).splitlines()

    assert lines[0] == "box: llamacpp 1, 2 starts, 1 served"
    assert lines[2].split()[:2] == ["smol", "4"] and lines[2].endswith("(has not served yet)")
    assert any(line.split()[:2] == ["weights", "2"] for line in lines)
    assert lines[-1] == "correction: 104.0 MiB more, by 2 starts on this node"
