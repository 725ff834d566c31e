"""Which models for so many users: for a fleet that is described, and for machines that report."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config_load import load_config, parse_config
from cluster.fit_suggest import Suggestion, suggest
from cluster.plan import described_plan
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeView
from nodes.snapshot import NodeSnapshot
from support.cluster_facts import engine, held, node, pool
from support.shapes import DENSE

FLEET = load_config(Path(__file__).parents[2] / "cluster.yaml").config
EMPTY = parse_config("version: 1\n", "test", environment={}).config


@pytest.fixture(scope="module")
def fifty() -> Suggestion:
    return suggest(8192, 50, FLEET, None)


def reporting(*nodes: NodeSnapshot) -> ClusterSnapshot:
    views = tuple(NodeView(one.node_id, "ready", "", 0.0, "local", one) for one in nodes)
    return ClusterSnapshot(SCHEMA_VERSION, "home", 1, 1, 1, 0.0, views, ())


def test_models_come_largest_first_with_how_many_each_machine_carries(fifty: Suggestion) -> None:
    by_name = {one.model: one for one in fifty.options}

    assert [one.model for one in fifty.options][:2] == ["deepseek-v3", "qwen3-235b-a22b"]
    assert not by_name["deepseek-v3"].fits and 0 < by_name["deepseek-v3"].users < 50
    large = by_name["qwen3-235b-a22b"]
    assert (large.fits, [place.node for place in large.places]) == (True, ["mac-studio"])
    assert all(one.fits == any(place.users >= 50 for place in one.places) for one in fifty.options)
    assert all(one.users == sum(place.users for place in one.places) for one in fifty.options)
    assert "gpt-oss-120b" in by_name["qwen3-4b"].beside
    assert "qwen3-235b-a22b" in by_name["qwen3-32b"].beside


def test_what_fits_beside_each_other_for_some_does_not_for_more() -> None:
    by_name = {one.model: one for one in suggest(8192, 120, FLEET, None).options}

    assert by_name["qwen3-235b-a22b"].fits and by_name["llama-3.3-70b"].fits
    assert "qwen3-235b-a22b" not in by_name["llama-3.3-70b"].beside


def test_the_set_is_the_largest_for_each_machine_and_fits_together(fifty: Suggestion) -> None:
    assert [one.model for one in fifty.chosen] == ["qwen3-235b-a22b", "qwen3-30b-a3b"]
    assert len({one.node for one in fifty.chosen}) == len(fifty.chosen)


def test_the_fragment_is_a_configuration_that_places_exactly_that(fifty: Suggestion) -> None:
    config = parse_config(fifty.fragment, "fragment", environment={}).config
    plan = described_plan(config)

    assert {(one.model, one.node, one.kind, one.need_bytes) for one in plan.engines} == {
        (one.model, one.node, one.engine, one.need_bytes) for one in fifty.chosen
    }
    assert plan.left_out == ()
    assert config.models["qwen3-235b-a22b"].source == "hf:mlx-community/Qwen3-235B-A22B-4bit"
    assert config.nodes["rtx4090"].memory == FLEET.nodes["rtx4090"].memory


def test_models_that_a_machine_holds_are_counted_by_their_own_shape_as_if_nothing_ran() -> None:
    mine = replace(held("mine"), shape=DENSE)
    box = node("box", [mine], engines=[engine("mine.box.1")], pools=[pool("ram", 40)])
    found = suggest(8192, 8, EMPTY, reporting(box))

    assert {one.model for one in found.options} >= {"mine", "qwen3-4b"}
    (chosen,) = found.chosen
    assert chosen.node == "box"


def test_no_model_is_offered_for_a_longer_context_than_it_was_made_for() -> None:
    offered = {one.model for one in suggest(100_000, 1, FLEET, None).options}

    assert "llama-3.1-8b" in offered
    assert "qwen3-14b" not in offered


def test_where_nobody_could_be_served_there_is_no_set() -> None:
    found = suggest(8192, 50, EMPTY, reporting(node("box", pools=[pool("ram", 1)])))

    assert (found.options, found.chosen, found.fragment) == ((), (), "")
