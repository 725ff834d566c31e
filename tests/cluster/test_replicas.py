"""More replicas where there is room, nodes by preference and by label; and what no wish may ever cost anybody."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.desired import WantedModel, WantedNode
from cluster.placement import place
from cluster.placement_values import Admission, Candidate, Placement
from nodes.snapshot import NodeId, NodeSnapshot
from support.cluster_facts import GIB, engine, held, node, pool, wanted_models
from support.shapes import DENSE, shape


def model(name: str, **wishes: object) -> WantedModel:
    text = "".join(f", {key.rstrip('_')}: {value}" for key, value in wishes.items())
    return wanted_models(f"  {name}: {{source: packaged:{name}, engine: llamacpp{text}}}\n")[0]


def box(name: str, gib: int = 64, runs: Sequence[str] = (), **labels: str) -> Candidate:
    """A machine that holds every model, 4 GiB each."""
    models = [held(one, 4 * GIB) for one in "mno"]
    engines = [engine(f"{one.split('.')[0]}.{name}.{one.split('.')[1]}") for one in runs]
    return candidate(node(name, models, engines=engines, pools=[pool("ram", gib)]), **labels)


def candidate(snapshot: NodeSnapshot, **labels: str) -> Candidate:
    return Candidate(WantedNode(snapshot.node_id, (), None, tuple(sorted(labels.items()))), snapshot)


def ids(placement: Placement) -> list[str]:
    return [item.spec.engine_id for item in placement.assignments]


def counts(placement: Placement) -> Counter[str]:
    return Counter(item.spec.model.name for item in placement.assignments)


def test_room_that_is_left_goes_to_whoever_has_the_smallest_part_of_its_most() -> None:
    wanted = [model("m", replicas="{min: 1, max: 4}"), model("n", replicas="{min: 1, max: 2}"), model("o")]
    placement = place(wanted, [box("a", 16), box("b", 8)])

    assert counts(placement) == {"m": 3, "n": 2, "o": 1}
    assert placement.unplaced == ()
    (missing,) = placement.below_most
    assert missing.model == "m"
    assert missing.reason == "a: needs 4.0 GiB, with 0 B free of 16.0 GiB; b: needs 4.0 GiB, with 0 B free of 8.0 GiB"


def test_what_runs_beyond_the_least_keeps_its_place_while_a_newcomer_has_another() -> None:
    wanted = [model("m", replicas="{min: 1, max: 2}"), model("n")]

    assert ids(place(wanted, [box("a", 4, ["m.1"]), box("b", 4, ["m.1"]), box("c", 4)])) == ["m.a.1", "m.b.1", "n.c.1"]


def test_it_gives_way_to_a_least_that_has_no_other_place_wherever_that_is() -> None:
    both = [box("a", 4, ["m.1"]), box("b", 4, ["m.1"])]
    growing = model("m", replicas="{min: 1, max: 2}")

    assert ids(place([growing, model("n")], both)) == ["m.b.1", "n.a.1"]
    for pinned, expected in (("a", ["m.b.1", "n.a.1"]), ("b", ["m.a.1", "n.b.1"])):
        assert ids(place([growing, model("n", on=f"[{pinned}]")], both)) == expected


def test_replicas_that_nobody_wants_any_more_go_where_they_are_stacked() -> None:
    wanted = [model("m", replicas="{min: 1, max: 2}")]

    assert ids(place(wanted, [box("a", runs=["m.1", "m.2"]), box("b", runs=["m.1"])])) == ["m.a.1", "m.b.1"]


def test_a_stack_that_a_failure_left_spreads_again_when_the_other_machine_is_back() -> None:
    assert ids(place([model("m", replicas=2)], [box("a", runs=["m.1", "m.2"]), box("b")])) == ["m.a.1", "m.b.1"]


def test_no_least_and_a_most_runs_where_room_is_left_over() -> None:
    wanted = [model("m", replicas="{min: 0, max: 2}"), model("n")]

    assert ids(place(wanted, [box("a", 8)])) == ["m.a.1", "n.a.1"]
    alone = place(wanted, [box("a", 4)])
    assert (ids(alone), [one.model for one in alone.below_most]) == (["n.a.1"], ["m"])


def test_a_preferred_machine_comes_first_and_no_other_is_excluded() -> None:
    wanted = [model("m", prefer="[c, b]")]

    assert ids(place(wanted, [box("a"), box("b"), box("c")])) == ["m.c.1"]
    assert ids(place(wanted, [box("a"), box("b")])) == ["m.b.1"]
    (lone,) = place(wanted, [box("a")]).assignments
    assert (lone.node_id, "prefer" in lone.why) == ("a", False)
    (liked,) = place(wanted, [box("b")]).assignments
    assert liked.why.startswith("models.m.prefer lists it, ")


def test_only_machines_with_the_label_may_run_it() -> None:
    fleet = [box("a"), box("b", gpu="nvidia", room="7"), box("c", gpu="apple")]

    assert ids(place([model("m", where="{gpu: apple}")], fleet)) == ["m.c.1"]
    assert ids(place([model("m", where="{gpu: [apple, nvidia], room: '7'}")], fleet)) == ["m.b.1"]


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ({"gpu": "nvidia"}, '; did you mean "gpu=nvidia"?'),
        ({"power": "mains"}, "; known here: power=mains"),
        ({}, "; this machine has no labels"),
    ],
)
def test_a_label_that_no_machine_has_is_told_with_the_nearest(labels: dict[str, str], hint: str) -> None:
    (unplaced,) = place([model("m", where="{gpu: nvidea}")], [candidate(node("a", [held("m")]), **labels)]).unplaced

    assert unplaced.reason == f"models.m.where asks for gpu=nvidea{hint}"


def test_conversion_is_advised_where_only_the_format_is_missing() -> None:
    llama, qwen = replace(held("m"), shape=DENSE), replace(held("m"), shape=shape(architecture="qwen3"))
    wanted = wanted_models("  m: {sources: {vllm: 'hf:org/m'}}\n")

    (yes,) = place(wanted, [candidate(node("a", [llama], installed=["vllm"]))]).unplaced
    (no,) = place(wanted, [candidate(node("a", [qwen], installed=["vllm"]))]).unplaced
    assert yes.reason == (
        "on this machine as gguf only, and vllm reads safetensors: run `potluck models convert m --to safetensors` "
        "there, or run `potluck models pull hf:org/m --name m`"
    )
    assert no.reason == (
        "on this machine as gguf only, and vllm reads safetensors: run `potluck models pull hf:org/m --name m`"
    )


def test_who_chooses_first_does_not_depend_on_how_many_are_wanted() -> None:
    """What is left of `o` after its first replica stopped has a number beyond its most."""
    for most in (1, 2, 3):
        wanted = [model("n"), model("o", replicas=f"{{min: 1, max: {most}}}")]

        assert ids(place(wanted, [box("a", 4, ["o.2"])])) == ["o.a.1"]


NAMES = "mno"
LABELS = st.sampled_from([{}, {"gpu": "yes"}, {"gpu": "no"}])


@st.composite
def machines(draw: st.DrawFn) -> Candidate:
    name = draw(st.sampled_from("abcd"))
    sizes = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), max_size=3))
    runs = draw(st.sets(st.tuples(st.sampled_from(NAMES), st.integers(1, 2)), max_size=3))
    snapshot = node(
        name,
        [held(one, size * GIB) for one, size in sizes.items()],
        engines=[engine(f"{one}.{name}.{number}") for one, number in sorted(runs)],
        pools=[pool("ram", draw(st.integers(1, 24)))],
    )
    admissions = (Admission(), Admission(), Admission("kept", "it is cordoned"), Admission("leaving", "it is emptied"))
    return replace(candidate(snapshot, **draw(LABELS)), admission=draw(st.sampled_from(admissions)))


FLEETS = st.lists(machines(), max_size=4, unique_by=lambda one: one.node_id)


@st.composite
def wished(draw: st.DrawFn, name: str) -> WantedModel:
    least = draw(st.integers(0, 2))
    wishes: dict[str, object] = {"replicas": f"{{min: {least}, max: {draw(st.integers(least, 4))}}}"}
    for key in ("on", "prefer"):
        if draw(st.integers(0, 3)) == 0:
            wishes[key] = f"[{', '.join(draw(st.lists(st.sampled_from('abcd'), unique=True, min_size=1, max_size=3)))}]"
    if set(str(wishes.get("prefer", ""))) - set(str(wishes.get("on", wishes.get("prefer", "")))):
        del wishes["prefer"]
    if draw(st.integers(0, 3)) == 0:
        wishes["where"] = "{gpu: 'yes'}"
    return model(name, **wishes)


WISHES = st.tuples(wished("m"), wished("n"), wished("o"))


def on_ground(fleet: Sequence[Candidate], placement: Placement) -> list[Candidate]:
    """The fleet once everything was done that the placement asks for."""
    return [
        replace(
            one,
            snapshot=replace(
                one.snapshot, engines=tuple(engine(item.spec.engine_id) for item in placement.on(one.node_id))
            ),
        )
        for one in fleet
    ]


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES)
def test_no_budget_is_exceeded_no_most_either_and_no_id_is_given_twice(
    fleet: list[Candidate], models: tuple[WantedModel, ...]
) -> None:
    placement = place(models, fleet)

    assert len(set(ids(placement))) == len(ids(placement))
    for one in fleet:
        budget = one.snapshot.hardware.pools[0].budget_bytes
        assert budget is not None
        assert sum(item.need_bytes for item in placement.on(one.node_id)) <= budget
    placed = counts(placement)
    for wanted in models:
        assert placed[wanted.name] <= wanted.most_replicas
        for item in placement.assignments:
            if item.spec.model.name == wanted.name:
                home = next(one for one in fleet if one.node_id == item.node_id)
                assert not wanted.on or home.node_id in wanted.on
                assert all(dict(home.wanted.labels)[key] in values for key, values in wanted.where)


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES)
def test_order_changes_nothing(fleet: list[Candidate], models: tuple[WantedModel, ...]) -> None:
    first = place(models, fleet)

    assert all(place(order, fleet[::-1]) == first for order in permutations(models))


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES, st.integers(0, 2), st.integers(1, 4))
def test_to_ask_for_more_of_one_costs_no_other_what_it_must_have(
    fleet: list[Candidate], models: tuple[WantedModel, ...], which: int, more: int
) -> None:
    greedy = tuple(
        replace(one, most_replicas=one.most_replicas + more) if index == which else one
        for index, one in enumerate(models)
    )
    before, after = counts(place(models, fleet)), counts(place(greedy, fleet))

    assert all(after[one.name] >= min(one.replicas, before[one.name]) for one in models)


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES)
def test_whoever_has_less_than_it_could_have_is_told_why_on_each_machine(
    fleet: list[Candidate], models: tuple[WantedModel, ...]
) -> None:
    placement = place(models, fleet)
    placed = counts(placement)

    told = {one.model for one in (*placement.unplaced, *placement.below_most)}
    assert {one.name for one in models if placed[one.name] < one.most_replicas} <= told
    assert {one.model for one in placement.below_most} <= {
        one.name for one in models if one.replicas <= placed[one.name] < one.most_replicas
    }
    for missing in (*placement.unplaced, *placement.below_most):
        assert all(reason for _, reason in missing.reasons)


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES)
def test_what_was_placed_and_runs_stays_where_it_is(fleet: list[Candidate], models: tuple[WantedModel, ...]) -> None:
    """Within a few rounds: engines that stand in have to be replaced first, and a stack has to spread."""
    placements = [place(models, fleet)]
    for _ in range(4):
        fleet = on_ground(fleet, placements[-1])
        placements.append(place(models, fleet))

    assert ids(placements[-1]) == ids(placements[-2])


@settings(max_examples=40, deadline=None)
@given(FLEETS, WISHES, st.sampled_from("abcd"))
def test_a_newcomer_never_costs_what_runs_its_least(
    fleet: list[Candidate], models: tuple[WantedModel, ...], home: str
) -> None:
    fleet = [replace(one, admission=Admission()) for one in fleet]
    known = models[:2]
    for _ in range(3):
        fleet = on_ground(fleet, place(known, fleet))
    before = counts(place(known, fleet))

    after = counts(place((*known, replace(models[2], on=(NodeId(home),), replicas=1, most_replicas=1)), fleet))
    assert all(after[one.name] >= min(one.replicas, before[one.name]) for one in known)
