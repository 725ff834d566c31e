from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.snapshot import NodeState
from inventory.catalog import ModelName
from nodes.relay.contract import Address
from nodes.snapshot import EngineId, EngineSnapshot, NodeId
from router.decision import ModelRoutes, routing_table
from router.request import Parsed, SizeOnly
from router.scoring import decide
from support.gateway import cluster_of, engine_at

HERE = Address("127.0.0.1", 1)


def asking(characters: int = 10, output: int | None = None) -> Parsed:
    return Parsed("toy", False, False, characters, output, SizeOnly())


def routes(*engines: EngineSnapshot) -> ModelRoutes:
    return routing_table(cluster_of(engines)).models[ModelName("toy")]


def two() -> ModelRoutes:
    return routes(engine_at(HERE, "a"), engine_at(HERE, "b"))


def ranking(*arguments: object) -> list[str]:
    return [score.engine_id for score in decide(*arguments).ranked]  # type: ignore[arg-type]  # passed on as given


def test_an_engine_that_is_still_starting_is_rejected_with_its_state() -> None:
    assert routes(engine_at(HERE, "a", state="starting")).rejected == (("a", "starting: for a test"),)


def routes_over(*nodes: tuple[str, NodeState]) -> ModelRoutes:
    """An engine a on the first node, b on the second, and so on."""
    views = [
        replace(cluster_of([engine_at(HERE, name)]).nodes[0], node_id=NodeId(f"node-{name}"), state=state, reason="why")
        for name, state in nodes
    ]
    return routing_table(replace(cluster_of([]), nodes=tuple(views))).models[ModelName("toy")]


@pytest.mark.parametrize("state", ["joining", "lost"])
def test_a_machine_that_is_not_there_takes_no_requests(state: NodeState) -> None:
    assert routes_over(("a", state)).rejected == (("a", f"node {state}: why"),)


@pytest.mark.parametrize("state", ["suspect", "draining"])
def test_a_machine_that_is_suspect_or_emptied_takes_none_while_another_can_serve(state: NodeState) -> None:
    found = routes_over(("a", state), ("b", "ready"))

    assert ranking(found, asking(), {EngineId("b"): 200}, {}) == ["b"]
    assert ("a", f"node {state}: why") in decide(found, asking(), {}, {}).rejected
    assert ranking(found, asking(), {}, {}, ["b"]) == ["a"]
    assert ranking(routes_over(("a", state)), asking(), {}, {}) == ["a"]
    assert ranking(found, asking(), {}, {EngineId("b"): "ejected: died"}) == ["a"]


def test_a_cordoned_machine_serves_on_with_what_it_has() -> None:
    assert ranking(routes_over(("a", "cordoned"), ("b", "ready")), asking(), {}, {}) == ["a", "b"]


def test_an_engine_that_stands_still_while_busy_comes_last() -> None:
    still = replace(engine_at(HERE, "a"), progress_age_s=16.0)
    found = routes(still, engine_at(HERE, "b"))

    assert ranking(found, asking(), {EngineId("b"): 200}, {}) == ["b"]


def test_a_wrong_clock_on_a_node_costs_it_nothing() -> None:
    cluster = replace(cluster_of([engine_at(HERE, "a")]), taken_at_s=9_000.0)

    assert ranking(routing_table(cluster).models[ModelName("toy")], asking(), {}, {}) == ["a"]


def test_engines_of_lost_machines_are_known_as_such() -> None:
    cluster = cluster_of([engine_at(HERE, "a")])
    lost = replace(cluster, nodes=(replace(cluster.nodes[0], state="lost"),))

    assert routing_table(cluster).lost == frozenset()
    assert routing_table(lost).lost == frozenset((EngineId("a"),))


def test_the_less_busy_engine_wins_and_a_tie_goes_to_the_lower_id() -> None:
    assert ranking(two(), asking(), {}, {}) == ["a", "b"]
    assert ranking(two(), asking(), {"a": 1}, {}) == ["b", "a"]


def test_an_ejected_engine_is_used_only_when_there_is_no_other() -> None:
    ejected = {EngineId("a"): "ejected: died"}

    assert ranking(two(), asking(), {}, ejected) == ["b"]
    assert ("a", "ejected: died") in decide(two(), asking(), {}, ejected).rejected
    assert ranking(two(), asking(), {}, ejected, ["b"]) == ["a"]


def test_a_full_engine_is_rejected_as_saturated() -> None:
    decision = decide(two(), asking(), {EngineId("a"): 256, EngineId("b"): 300}, {})

    assert decision.ranked == []
    assert decision.rejected == [("a", "saturated: 256 requests in flight"), ("b", "saturated: 300 requests in flight")]


def test_a_prompt_goes_where_it_probably_fits_and_nowhere_when_it_cannot() -> None:
    found = routes(engine_at(HERE, "a", context_tokens=100), engine_at(HERE, "b", context_tokens=4000))

    assert ranking(found, asking(2000), {}, {}) == ["b"]
    assert ranking(found, asking(200, output=90), {}, {}) == ["b"]
    assert ranking(found, asking(10), {}, {}) == ["a", "b"]
    assert ranking(found, asking(70_000), {}, {}) == []


@given(st.permutations(["a", "b", "c", "d"]), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 300)))
def test_order_of_candidates_does_not_matter_and_load_never_helps(order: list[str], load: dict[str, int]) -> None:
    shuffled = routes(*(engine_at(HERE, name) for name in order))
    sorted_routes = routes(*(engine_at(HERE, name) for name in "abcd"))
    ranked = ranking(shuffled, asking(), load, {})

    assert ranked == ranking(sorted_routes, asking(), load, {})
    if ranked:
        busier = {**load, ranked[-1]: load.get(ranked[-1], 0) + 1}
        assert ranking(shuffled, asking(), busier, {})[-1:] in ([ranked[-1]], ranked[-2:-1])
