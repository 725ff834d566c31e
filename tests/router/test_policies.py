"""Other policies: each chooses as its name says, among those whom the filters left, and chance is an argument."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.router_policy import RouterPolicy
from nodes.snapshot import EngineId
from router.decision import POLICY_REASONS
from router.policies import CARD, depth_of, draw, headroom_of, weighted_sum
from router.scoring import decide
from support.decisions import NAMES, POLICIES, asking, counted, decision_of, on, routes_of
from support.gateway import cluster_of, engine_at, running_gateway
from support.leaks import CANARY
from support.upstream import answer_kindly, scripted_upstream

A, B, C = NAMES[:3]
THREE = {A: 4, B: 0, C: 2}
OTHERS = tuple(policy for policy in POLICIES if policy != "seconds")


def winner(counts: dict[str, int], policy: RouterPolicy, turn: int = 0) -> str:
    return counted(counts, policy, turn).ranked[0].engine_id


def test_round_robin_takes_each_in_turn_whatever_they_have_to_do() -> None:
    assert [winner(THREE, "round-robin", turn) for turn in range(5)] == [A, B, C, A, B]


def test_least_requests_counts_and_knows_no_slots() -> None:
    assert winner(THREE, "least-requests") == B
    assert winner({A: 1, B: 1}, "least-requests") == A


def test_power_of_two_takes_the_less_busy_of_two_and_never_looks_at_the_third() -> None:
    won = Counter(winner(THREE, "power-of-two", turn) for turn in range(3000))

    assert won.keys() == {B, C}  # the busiest loses every draw
    assert won[B] == pytest.approx(2000, abs=120)


@given(st.integers(2, 20), st.integers(0, 10**9))
def test_two_are_drawn_and_the_same_two_for_the_same_turn(of: int, turn: int) -> None:
    first, second = draw(turn, of)

    assert first != second
    assert {first, second} <= set(range(of))
    assert draw(turn, of) == (first, second)


def test_every_pair_is_drawn_as_often_as_any_other() -> None:
    drawn = Counter(draw(turn, 4) for turn in range(12_000))

    assert len(drawn) == 12
    assert all(count == pytest.approx(1000, abs=150) for count in drawn.values())


@given(st.integers(0, 300), st.floats(0, 1), st.integers(0, 10**6))
def test_the_card_is_what_its_weights_say(requests: int, used: float, cache_tokens: int) -> None:
    terms = weighted_sum(requests, used, cache_tokens)
    card = sum(
        weight * of for weight, of in zip(CARD, (1.0, headroom_of(used, cache_tokens), depth_of(requests)), strict=True)
    )

    assert [name for name, _ in terms] == ["model_fit", "headroom", "queue_depth"]
    assert sum(value for _, value in terms) == pytest.approx(1.0 - card)
    assert all(value >= 0 for _, value in terms)


def test_the_card_sends_work_to_the_largest_memory() -> None:
    found = routes_of((A, B), "weighted-sum")
    sizes = {A: 9000, B: 500_000}
    sized = (msgspec.structs.replace(one, cache_tokens=sizes[one.engine_id]) for one in found.candidates)
    large = replace(found, candidates=tuple(sized))

    assert decide(large, asking(), {}, {}).ranked[0].engine_id == B
    assert decide(large, asking(), {EngineId(B): 3}, {}, promised={EngineId(B): 100}).ranked[0].engine_id == B
    assert decide(large, asking(), {EngineId(B): 3}, {}, promised={EngineId(B): 499_000}).ranked[0].engine_id == A


@pytest.mark.parametrize("policy", OTHERS)
def test_its_name_is_the_reason_and_one_candidate_needs_none(policy: RouterPolicy) -> None:
    assert counted(THREE, policy).reason == policy.replace("-", "_") == POLICY_REASONS[policy]
    assert counted({A: 3}, policy).reason == "only_fit"
    assert decision_of([on(), on()], policy=policy).reason == POLICY_REASONS[policy]


@settings(deadline=None)
@given(
    st.sampled_from(POLICIES),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 300), min_size=2),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(NAMES)),
    st.integers(0, 1000),
)
def test_whom_the_filters_leave_out_no_policy_chooses(
    policy: RouterPolicy, load: dict[str, int], tried: set[str], out: set[str], turn: int
) -> None:
    in_flight = {EngineId(name): count for name, count in load.items()}
    broken = {EngineId(name): "ejected: died" for name in out}

    def decided(chosen: RouterPolicy) -> tuple[set[str], dict[str, str]]:
        engines = routes_of(tuple(load), chosen)
        decision = decide(engines, asking(), in_flight, broken, {EngineId(name) for name in tried}, turn=turn)
        return {score.engine_id for score in decision.ranked}, dict(decision.rejected)

    passed, rejected = decided(policy)
    full = {name for name, why in rejected.items() if why.startswith("full: ")}

    assert (passed | full, {name: why for name, why in rejected.items() if name not in full}) == decided("seconds")
    assert not passed & tried
    assert bool(passed) or not full


@pytest.mark.parametrize("policy", OTHERS)
def test_no_policy_without_seconds_waits_for_one_while_another_has_room(policy: RouterPolicy) -> None:
    busy = {A: 5, B: 4, C: 7}  # of four slots each, and one ahead

    assert {winner(busy, policy, turn) for turn in range(6)} == {B}
    assert counted({A: 5, B: 5}, policy).ranked


async def test_cluster_yaml_chooses_the_policy_and_the_header_says_it(tmp_path: Path) -> None:
    asked = {"model": "toy", "messages": [{"role": "user", "content": CANARY}]}
    async with scripted_upstream(answer_kindly) as upstream:
        engines = [engine_at(upstream.address, name) for name in ("a", "b", "c")]
        async with running_gateway(tmp_path, engines) as running, running.http() as client:
            running.view.install_cluster(replace(cluster_of(engines, sequence=2), policy="round-robin"))
            answers = [await client.post("/v1/chat/completions", json=asked) for _ in range(4)]
            records = running.finished()

    assert [answer.headers["x-potluck-route-reason"] for answer in answers] == ["round_robin"] * 4
    assert [answer.headers["x-potluck-engine"] for answer in answers] == ["a", "b", "c", "a"]
    assert [record.route_reason for record in records] == ["round_robin"] * 4
