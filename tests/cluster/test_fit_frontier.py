"""How far a machine goes with a model: the same arithmetic as fit, asked for every context."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from cluster.config_load import load_config
from cluster.fit_fleet import FitQuery, fit_report
from cluster.fit_frontier import frontiers
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeView
from nodes.snapshot import NodeId
from support.cluster_facts import engine, held, model_ref, node, pool
from support.shapes import DENSE

FLEET = load_config(Path(__file__).parents[2] / "cluster.yaml").config


def test_each_point_is_what_fit_says_of_that_context() -> None:
    query = FitQuery("qwen3-14b", 10_000, 2, node=NodeId("rtx4090"))
    rows = frontiers(query, FLEET, None).rows

    for row in rows:
        assert [point.context_tokens for point in row.points if point.context_tokens == 10_000]
        assert all(one.users_alone >= other.users_alone for one, other in pairwise(row.points))
        for point in row.points:
            asked = FitQuery("qwen3-14b", point.context_tokens, 2, node=NodeId("rtx4090"))
            (said,) = [one for one in fit_report(asked, FLEET, None).rows if one.kind == row.engine]
            assert point.users_alone == said.most_users
    assert any(row.points[0].users_alone > row.points[-1].users_alone for row in rows)


def test_the_longest_context_for_so_many_users_fits_and_one_token_more_does_not() -> None:
    for users in (1, 4):
        for row in frontiers(FitQuery("qwen3-14b", 8192, users, node=NodeId("rtx4090")), FLEET, None).rows:
            if not 0 < row.context_alone < row.longest_tokens:
                continue
            asked = [
                FitQuery("qwen3-14b", size, users, node=NodeId("rtx4090"))
                for size in (row.context_alone, row.context_alone + 1)
            ]
            fits, more = ([one for one in fit_report(one, FLEET, None).rows if one.kind == row.engine] for one in asked)
            assert (fits[0].verdict.answer, more[0].verdict.answer == "fits") == ("fits", False)


def test_what_runs_on_the_machine_takes_its_room_from_those_beside_it() -> None:
    there = node(
        "box", [replace(held("smollm2"), shape=DENSE), replace(held("big"), shape=DENSE)],
        engines=[engine("big.box.0", ref=model_ref("big"))], pools=[pool("ram", 12)],
    )  # fmt: skip
    view = NodeView(there.node_id, "ready", "", 0.0, "local", there)
    snapshot = ClusterSnapshot(SCHEMA_VERSION, "home", 1, 1, 1, 0.0, (view,), ())
    (row,) = frontiers(FitQuery("smollm2", 2048, 1, node=NodeId("box")), FLEET, snapshot).rows

    assert row.free_bytes < row.budget_bytes
    assert all(point.users_beside <= point.users_alone for point in row.points)
    assert row.context_beside <= row.context_alone
