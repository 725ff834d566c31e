from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inventory.catalog import ModelName
from nodes.relay.contract import Address
from nodes.snapshot import EngineId, EngineSnapshot
from router.decision import ModelRoutes, routing_table
from router.request import Parsed
from router.scoring import decide
from support.gateway import cluster_of, engine_at

HERE = Address("127.0.0.1", 1)


class NoPrompt:
    def encode(self, served_name: str, stream: bool) -> bytes:
        return b""


def asking(characters: int = 10, output: int | None = None) -> Parsed:
    return Parsed("toy", False, False, characters, output, NoPrompt())


def routes(*engines: EngineSnapshot) -> ModelRoutes:
    return routing_table(cluster_of(engines)).models[ModelName("toy")]


def two() -> ModelRoutes:
    return routes(engine_at(HERE, "a"), engine_at(HERE, "b"))


def ranking(*arguments: object) -> list[str]:
    return [score.engine_id for score in decide(*arguments).ranked]  # type: ignore[arg-type]  # passed on as given


def test_an_engine_that_is_still_starting_is_rejected_with_its_state() -> None:
    assert routes(engine_at(HERE, "a", state="starting")).rejected == (("a", "starting: for a test"),)


def test_a_node_that_is_not_ready_takes_no_requests_and_a_suspect_one_comes_last() -> None:
    cluster = cluster_of([engine_at(HERE, "a")])
    lost = replace(cluster, nodes=(replace(cluster.nodes[0], state="lost", reason="no report for 9 s"),))
    suspect = replace(cluster, nodes=(replace(cluster.nodes[0], state="suspect"),))

    assert routing_table(lost).models[ModelName("toy")].rejected == (("a", "node lost: no report for 9 s"),)
    (candidate,) = routing_table(suspect).models[ModelName("toy")].candidates
    assert candidate.standing_terms == (("suspect_node", 5.0),)


def test_an_old_report_is_stale_by_the_heads_own_clock() -> None:
    cluster = replace(cluster_of([engine_at(HERE, "a")]), taken_at_s=120.0)

    assert routing_table(cluster).models[ModelName("toy")].rejected == (("a", "stale: node report is 20 s old"),)


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
