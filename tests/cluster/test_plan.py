"""What `config plan` says: for a running cluster, and for one that is only described."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.backoff import Backoff
from cluster.config_load import load_config, parse_config
from cluster.copies import Shop
from cluster.load_times import LoadBook, LoadKey, LoadTime
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.plan import Ground, config_plan, described_plan
from cluster.plan_values import Arrival, ConfigPlan, PoolChange, Sleep
from inventory.catalog import ArtifactId
from nodes.orders import ArtifactHolder, Authority
from nodes.snapshot import EngineLoad, EngineSnapshot, NodeId, NodeSnapshot
from support.cluster_facts import GIB, desired, engine, held, node, pool
from support.shapes import DENSE

LLAMA = "{source: packaged:any, engine: llamacpp, context: 2048, slots: 1%s}"


def models(**more: str) -> str:
    """A cluster.yaml with these models, each with more settings of its own."""
    return "models:\n" + "".join(f"  {name}: {LLAMA % text}\n" for name, text in more.items())


def planned(
    before: str,
    after: str,
    *nodes: NodeSnapshot,
    loads: LoadBook | None = None,
    givers: Sequence[str] = (),
) -> ConfigPlan:
    now, then = desired(before, 3), desired(after, 4)

    def candidates(config: object) -> list[Candidate]:
        assert config in (now, then)
        chosen = now if config == now else then
        found = [(snapshot, chosen.node(snapshot.node_id)) for snapshot in nodes]
        return [Candidate(wanted, snapshot) for snapshot, wanted in found if wanted is not None]

    doors = {NodeId(name): ArtifactHolder(NodeId(name), "10.0.0.1", 8402) for name in givers}
    shop = Shop(doors, Authority(5, 3), Backoff())
    return config_plan(then, Ground(now, candidates(now), candidates(then), nodes, shop, loads or LoadBook()))


def changes(plan: ConfigPlan) -> dict[str, str]:
    return {one.engine: one.change for one in plan.engines}


def runs(name: str, context: int = 2048, slots: int = 1) -> EngineSnapshot:
    return replace(engine(name, revision=3), context_tokens=context, load=EngineLoad(slots=slots))


def box(*running: EngineSnapshot, gib: int = 64, holds: str = "mno") -> NodeSnapshot:
    return node("box", [held(one, 4 * GIB) for one in holds], engines=running, pools=[pool("ram", gib)])


def test_the_same_configuration_changes_nothing() -> None:
    plan = planned(models(m=""), models(m=""), box(runs("m.box.1")))

    assert changes(plan) == {"m.box.1": "stay"}
    assert not plan.changes
    assert plan.revision == 3
    assert plan.pools == (PoolChange("box", "ram", 64 * GIB, 4 * GIB, 4 * GIB),)


def test_what_starts_stops_and_starts_again_is_told_with_its_memory_and_why() -> None:
    loads = LoadBook([LoadTime(LoadKey(NodeId("box"), ArtifactId("o-1"), "llamacpp"), 12.5, 0.0)])
    plan = planned(
        models(m="", n=""),
        models(n=", options: {threads: 2}", o=""),
        box(runs("m.box.1"), runs("n.box.1")),
        loads=loads,
    )
    by_id = {one.engine: one for one in plan.engines}

    assert changes(plan) == {"m.box.1": "stop", "n.box.1": "restart", "o.box.1": "start"}
    assert by_id["m.box.1"].why == "no longer placed here"
    assert by_id["n.box.1"].why == "settings of its engine"
    assert (by_id["o.box.1"].load_s, by_id["n.box.1"].load_s) == (12.5, None)
    assert plan.changes


def test_a_longer_context_restarts_and_takes_more() -> None:
    shaped = replace(held("m", 8 * GIB), shape=DENSE)
    machine = node("box", [shaped], engines=[replace(runs("m.box.1"), model=shaped.ref)])
    plan = planned(models(m=""), models(m="").replace("2048", "8k"), machine)

    (one,), (room,) = plan.engines, plan.pools
    assert (one.change, one.why) == ("restart", "context 2048 -> 8192")
    assert room.after_bytes - room.before_bytes > 0.5 * GIB
    assert room.after_bytes == one.need_bytes


def test_a_model_without_room_is_left_out_with_the_reason_and_one_below_its_most_with_another() -> None:
    plan = planned(models(m=""), models(m="", n="", o=""), box(runs("m.box.1"), gib=9))
    assert [(one.model, one.placed, one.least) for one in plan.left_out] == [("o", 0, 1)]
    assert plan.left_out[0].reason.startswith("needs 4.0 GiB, 3.0 GiB more than the 1.0 GiB free of 9.0 GiB")

    plan = planned(models(m=""), models(m=", replicas: {min: 1, max: 3}"), box(runs("m.box.1"), gib=9))
    assert [(one.model, one.placed, one.most) for one in plan.could_grow] == [("m", 2, 3)]
    assert plan.left_out == ()


def test_an_artifact_of_another_machine_is_counted_as_if_it_had_been_copied() -> None:
    other = node("mac", [held("m", 4 * GIB)], installed=[])
    plan = planned(models(n=""), models(n="", m=", on: [box]"), box(runs("n.box.1"), holds="n"), other, givers=["mac"])

    assert plan.arrivals == (Arrival("m", "box", 4 * GIB, "mac", ""),)
    assert changes(plan) == {"n.box.1": "stay", "m.box.1": "start"}
    assert {one.node: one.after_bytes for one in plan.pools} == {"box": 8 * GIB, "mac": 0}


def test_what_nobody_holds_is_left_out_and_told_how_large_it_is_where_its_name_is_known() -> None:
    known = "models: {qwen3-4b: {source: 'hf:org/Qwen3-4B-GGUF:q4_k_m', engine: llamacpp, slots: 1}}\n"
    plan = planned(models(m=""), known, box(runs("m.box.1")))
    (arrival,) = plan.arrivals

    assert (arrival.node, arrival.holder, arrival.source) == ("box", None, "hf:org/Qwen3-4B-GGUF:q4_k_m")
    assert arrival.size_bytes is not None and 2 * GIB < arrival.size_bytes < 3 * GIB
    assert [one.model for one in plan.left_out] == ["qwen3-4b"]
    assert planned(models(m=""), models(x=""), box()).arrivals == (Arrival("x", "", None, None, "packaged:any"),)


def test_models_that_sleep_count_where_they_run_and_make_room_for_what_always_does() -> None:
    sleeps = ", keep_alive: 5m"
    plan = planned(models(m=sleeps, n=sleeps), models(m=sleeps, n=sleeps), box(runs("m.box.1")))
    assert (changes(plan), plan.asleep) == ({"m.box.1": "stay"}, (Sleep("n", "nobody asks for it"),))

    plan = planned(models(m=sleeps), models(m=sleeps, n=""), box(runs("m.box.1"), gib=6))
    assert changes(plan) == {"m.box.1": "stop", "n.box.1": "start"}
    assert plan.asleep == (Sleep("m", "finishes its requests and makes room for n"),)

    plan = planned(models(m=sleeps), models(m=f"{sleeps}, warm: true"), box())
    assert changes(plan) == {"m.box.1": "start"}


def test_a_machine_with_several_pools_has_a_row_for_each_kind_of_engine() -> None:
    both = node(
        "rig",
        [held("m", 4 * GIB), held("v", 6 * GIB, "safetensors")],
        installed=["llamacpp", "vllm"],
        pools=[pool("ram", 32), pool("vram", 24)],
    )
    plan = planned(models(m=""), models(m="") + "  v: {source: packaged:any, engine: vllm}\n", both)

    assert {one.pools: (one.after_bytes, one.budget_bytes) for one in plan.pools} == {
        "ram+vram:0": (10 * GIB, 56 * GIB),
        "vram:0": (10 * GIB, 24 * GIB),
    }


def test_a_fleet_that_is_only_described_is_planned_as_it_is_described() -> None:
    config = load_config(Path(__file__).parents[2] / "cluster.yaml").config
    plan = described_plan(config, [held("smollm2", GIB // 10)])

    assert plan.revision is None
    assert {one.engine for one in plan.engines if one.change == "start"} == {
        "qwen3-14b.rtx4090.1",
        "qwen3-235b-a22b.mac-studio.1",
        "smollm2.poweredge.1",
    }
    assert {one.node: one.budget_bytes for one in plan.pools}["mac-studio"] == 384 * GIB
    assert {one.model: one.source for one in plan.arrivals} == {
        "qwen3-14b": "hf:Qwen/Qwen3-14B-AWQ",
        "qwen3-235b-a22b": "hf:mlx-community/Qwen3-235B-A22B-4bit",
    }


def test_without_any_machine_everything_is_left_out() -> None:
    plan = described_plan(parse_config("version: 1\nmodels: {m: {source: packaged:m}}\n", "test", {}).config)

    assert [(one.model, one.reason) for one in plan.left_out] == [("m", "no machine has reported yet")]


WISHES = st.dictionaries(
    st.sampled_from("mno"), st.sampled_from(["", ", replicas: 2", ", replicas: {min: 1, max: 3}", ", keep_alive: 1m"])
)


@settings(max_examples=50, deadline=None)
@given(WISHES, WISHES, st.integers(1, 24))
def test_the_plan_is_what_placement_would_do_and_fits(before: dict[str, str], after: dict[str, str], gib: int) -> None:
    old = "models: {}\n" if not before else models(**before)
    new = "models: {}\n" if not after else models(**after)
    bare = box(gib=gib)
    wanted = desired(old).node(bare.node_id)
    assert wanted is not None
    placed = place([one for one in desired(old).models if one.keep_alive_s is None], [Candidate(wanted, bare)])
    running = [runs(item.spec.engine_id) for item in placed.assignments]
    plan = planned(old, new, box(*running, gib=gib))

    told = changes(plan)
    assert {one.engine_id for one in running} <= told.keys(), "all that runs has a row"
    assert {name for name, change in told.items() if change == "start"}.isdisjoint({one.engine_id for one in running})
    (room,) = plan.pools
    assert room.budget_bytes is not None and room.after_bytes <= room.budget_bytes
    assert room.after_bytes == sum(one.need_bytes for one in plan.engines if one.change != "stop")
    assert room.before_bytes == sum(item.need_bytes for item in placed.assignments)
    assert plan == planned(old, new, box(*running[::-1], gib=gib)), "the order of reports changes nothing"
