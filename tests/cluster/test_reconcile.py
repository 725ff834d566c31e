from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.reconcile import Action, DrainEngine, EnsureEngine, Goal, StopEngine, reconcile
from nodes.orders import Authority
from nodes.snapshot import EngineSnapshot, EngineState, NodeSnapshot
from support.cluster_facts import desired, engine, held, model_ref, node

NOW_S = 1_800_000_000.0
CONFIG = desired("models: {m: {source: packaged:m, engine: llamacpp}, n: {source: packaged:n, engine: llamacpp}}\n")
STATES: tuple[EngineState, ...] = ("starting", "ready", "draining", "stopping", "backoff", "quarantined", "stopped")


def goal_for(fleet: Sequence[NodeSnapshot], revision: int = 1) -> Goal:
    found = [(snapshot, CONFIG.node(snapshot.node_id)) for snapshot in fleet]
    candidates = [Candidate(wanted, snapshot) for snapshot, wanted in found if wanted]
    return Goal(place(CONFIG.models, candidates), Authority(epoch=7, config_revision=revision), drain_s=30)


def plan(*fleet: NodeSnapshot, revision: int = 1, now_s: float = NOW_S) -> list[tuple[str, str]]:
    actions = reconcile(goal_for(fleet, revision), fleet, now_s)
    return [(type(action).__name__, action.engine_id) for action in actions]


def box(*engines: EngineSnapshot) -> NodeSnapshot:
    return node("box", [held("m")], engines=engines)


def test_a_missing_engine_is_ensured_with_authority_and_reason() -> None:
    fleet = [box()]

    (action,) = reconcile(goal_for(fleet), fleet, NOW_S)

    assert isinstance(action, EnsureEngine)
    assert action.authority == Authority(7, 1)
    assert action.why.startswith("missing: holds the gguf artifact")


def test_where_everything_is_as_it_should_be_nothing_happens() -> None:
    assert plan(box(engine("m.box.1"))) == []


def test_an_engine_that_starts_or_recovers_by_itself_is_left_alone() -> None:
    for state in ("starting", "backoff", "quarantined", "stopping"):
        assert plan(box(engine("m.box.1", state))) == [], state


def test_another_configuration_or_artifact_is_ordered_again() -> None:
    assert plan(box(engine("m.box.1", revision=1)), revision=2) == [("EnsureEngine", "m.box.1")]
    assert plan(box(engine("m.box.1", ref=model_ref("m", "0")))) == [("EnsureEngine", "m.box.1")]
    assert plan(box(engine("m.box.1", "stopped"))) == [("EnsureEngine", "m.box.1")]


def test_an_engine_nobody_wants_is_drained_then_stopped_when_it_takes_too_long() -> None:
    assert plan(box(engine("m.box.1"), engine("x.box.1"))) == [("DrainEngine", "x.box.1")]
    draining = box(engine("m.box.1"), engine("x.box.1", "draining"))
    assert plan(draining) == []
    assert plan(draining, now_s=NOW_S + 31) == [("StopEngine", "x.box.1")]


def test_an_engine_that_serves_nobody_is_stopped_without_draining() -> None:
    for state in ("starting", "backoff", "quarantined"):
        unwanted = engine("x.box.1", state)
        assert plan(box(engine("m.box.1"), unwanted)) == [("StopEngine", "x.box.1")], state


def test_a_start_waits_until_what_leaves_has_freed_its_memory() -> None:
    assert plan(box(engine("x.box.1"))) == [("DrainEngine", "x.box.1")]
    assert plan(box(engine("x.box.1", "stopping"))) == []
    assert plan(box(engine("x.box.1", "stopped"))) == [("StopEngine", "x.box.1"), ("EnsureEngine", "m.box.1")]


def test_a_stopped_engine_nobody_wants_is_forgotten() -> None:
    assert plan(box(engine("m.box.1"), engine("x.box.1", "stopped"))) == [("StopEngine", "x.box.1")]


engines = st.lists(
    st.builds(
        lambda model, number, state, revision, version: engine(
            f"{model}.box.{number}", state, revision, ref=model_ref(model, version)
        ),
        st.sampled_from(["m", "n", "x"]),
        st.integers(1, 2),
        st.sampled_from(STATES),
        st.integers(1, 2),
        st.sampled_from(["0", "1"]),
    ),
    unique_by=lambda snapshot: snapshot.engine_id,
    max_size=6,
)


def obey(snapshot: NodeSnapshot, actions: Sequence[Action], goal: Goal) -> NodeSnapshot:
    """A node that carries out every order at once, and whose transitions end by themselves."""
    present = {running.engine_id: running for running in snapshot.engines}
    for action in actions:
        if isinstance(action, EnsureEngine):
            fresh = engine(action.engine_id, "ready", action.authority.config_revision, ref=action.spec.model)
            present[action.engine_id] = fresh
        elif isinstance(action, StopEngine):
            present.pop(action.engine_id)
        elif isinstance(action, DrainEngine):
            present[action.engine_id] = replace(present[action.engine_id], state="draining")
    settled = [
        replace(running, state="stopped" if running.state == "stopping" else running.state)
        for running in present.values()
    ]
    return replace(snapshot, engines=tuple(settled))


@given(engines, st.booleans())
def test_every_machine_reaches_the_goal_and_then_nothing_more_is_ordered(
    running: list[EngineSnapshot], holds_second: bool
) -> None:
    models = [held("m"), held("n")] if holds_second else [held("m")]
    snapshot = node("box", models, engines=running)
    now_s = NOW_S
    for _ in range(8):
        goal = goal_for([snapshot], revision=2)
        actions = reconcile(goal, [snapshot], now_s)
        ids = [action.engine_id for action in actions]
        assert len(set(ids)) == len(ids), "one engine, one order"
        assert actions == reconcile(goal, [snapshot], now_s)
        snapshot = obey(snapshot, actions, goal)
        now_s += 31

    assert reconcile(goal_for([snapshot], revision=2), [snapshot], now_s) == ()
    holding = {item.engine_id for item in snapshot.engines if item.state != "stopped"}
    assert holding == {item.spec.engine_id for item in goal_for([snapshot], revision=2).placement.assignments}
