import msgspec

from cli.verify import rows_of
from cluster.jobs import JobOutcome, ModelCheck
from nodes.snapshot import NodeId

GIB = 2**30


def test_each_model_of_each_node_has_a_row_and_damage_keeps_its_words() -> None:
    checks = msgspec.json.encode([ModelCheck("qwen3", 2 * GIB, None), ModelCheck("phi4", GIB, "damaged: weights.gguf")])
    rows = rows_of([JobOutcome(NodeId("rtx"), checks, None)])

    assert [(row.model, row.size, row.problem) for row in rows] == [
        ("qwen3", "2.0 GiB", None),
        ("phi4", "1.0 GiB", "damaged: weights.gguf"),
    ]


def test_a_node_that_could_not_be_asked_is_not_a_node_without_damage() -> None:
    (row,) = rows_of([JobOutcome(NodeId("mac"), None, "it has no raylet in this cluster")])

    assert not row.asked
    assert row.problem == "not asked: it has no raylet in this cluster"
