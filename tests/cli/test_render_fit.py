"""`potluck fit --frontier` as people read it."""

from cli.render_fit import frontier_text
from cluster.fit_frontier import Frontier, FrontierDocument, FrontierPoint

GIB = 2**30


def test_a_frontier_is_a_table_for_each_way_with_the_longest_context_above_it() -> None:
    points = (FrontierPoint(512, 1200, 90), FrontierPoint(1024, 600, 0))
    row = Frontier("box", "llamacpp", "Q4_1", 8192, 20 * GIB, 12 * GIB, 8192, 512, points)
    text = frontier_text(FrontierDocument("smol", 8192, 4, 16, (row, row)))

    head, longest, columns, first, second = text.split("\n\n")[0].splitlines()
    assert head == "box, llamacpp as Q4_1: 12.0 GiB free of 20.0 GiB"
    assert longest == "4 at once: up to 8,192 tokens alone, 512 beside what runs"
    assert columns.split() == ["CONTEXT", "MOST", "USERS", "ALONE", "BESIDE", "WHAT", "RUNS"]
    assert [first.split(), second.split()] == [["512", "1,200", "90"], ["1,024", "600", "0"]]
    assert len(text.split("\n\n")) == 2


def test_a_model_that_no_engine_here_serves_is_told_so() -> None:
    assert "no machine of this cluster has an engine" in frontier_text(FrontierDocument("smol", 8192, 1, 16, ()))
