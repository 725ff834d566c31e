"""Models that take turns on several machines: the residency planner over real placement, second by second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.desired import WantedModel, WantedNode
from cluster.placement import place
from cluster.placement_values import Candidate, Placement
from cluster.residency_values import Plan, Trial
from inventory.catalog import ModelName
from support.cluster_facts import GIB, engine, held, node, pool, wanted_models
from support.house import RULES, Asked, House, stance


@dataclass
class Fleet(House):
    """Machines that hold every model. What is awake runs where placement says, and stays there."""

    rooms: dict[str, int] = field(default_factory=dict)
    wishes: dict[str, str] = field(default_factory=dict)  # more of cluster.yaml, by model
    runs: dict[str, tuple[str, ...]] = field(default_factory=dict)  # engine ids by machine

    def trial(self) -> Trial:
        models, machines = self._models(), self._machines()

        def trial(awake: frozenset[ModelName]) -> Placement:
            return place([one for one in models if one.name in awake or one.name in self.always], machines, False)

        return trial

    def step(self, asked: Asked, seconds: float = 1.0) -> Plan:
        decided = super().step(asked, seconds)
        placement = self.trial()(decided.residency.names)
        assert {str(item.spec.model.name) for item in placement.assignments} >= self.awake() or self.shrunk
        homes = {name: [item for item in placement.assignments if item.node_id == name] for name in self.rooms}
        self.runs = {name: tuple(item.spec.engine_id for item in items) for name, items in homes.items()}
        return decided

    def _models(self) -> Sequence[WantedModel]:
        lines = [
            f"  {name}: {{source: packaged:{name}, engine: llamacpp{self.wishes.get(name, '')}}}\n"
            for name in self.sizes
        ]
        return wanted_models("".join(lines))

    def _machines(self) -> list[Candidate]:
        models = [held(name, size * GIB) for name, size in self.sizes.items()]
        found = []
        for name, room in self.rooms.items():
            engines = [engine(identity) for identity in self.runs.get(name, ())]
            snapshot = node(name, models, engines=engines, pools=[pool("ram", room)])
            found.append(Candidate(WantedNode(snapshot.node_id, (), None), snapshot))
        return found


def test_what_has_a_free_machine_needs_nobody_to_leave() -> None:
    fleet = Fleet({"a": 6, "b": 6}, rooms={"x": 6, "y": 6})
    fleet.step({"a": 3})
    fleet.step({"a": 3, "b": 1})

    assert fleet.runs == {"x": ("a.x.1",), "y": ("b.y.1",)}


def test_a_swap_on_one_machine_leaves_the_others_alone() -> None:
    fleet = Fleet({"a": 6, "b": 6, "c": 6}, rooms={"x": 6, "y": 6}, wishes={"a": ", on: [x]", "c": ", on: [x]"})
    fleet.steps({"a": 1, "b": 9}, 60)
    assert fleet.runs == {"x": ("a.x.1",), "y": ("b.y.1",)}

    fleet.steps({"b": 9, "c": 9}, 40)
    assert fleet.runs == {"x": ("c.x.1",), "y": ("b.y.1",)}


def test_each_machine_has_a_dwell_time_of_its_own() -> None:
    homes = {"a": ", on: [x]", "b": ", on: [x]", "c": ", on: [y]", "d": ", on: [y]"}
    fleet = Fleet(dict.fromkeys("abcd", 6), rooms={"x": 6, "y": 6}, wishes=homes)
    fleet.steps({"a": 1}, 20)
    fleet.steps({"a": 1, "c": 1}, 40)
    fleet.steps({"b": 9, "c": 1}, 10)
    assert fleet.awake() == {"b", "c"}

    fleet.steps({"b": 9, "d": 9}, 5)
    assert fleet.awake() == {"b", "d"}, "the swap on x is a few seconds old, and none of y's business"


def test_one_that_needs_two_machines_waits_until_both_may_be_cleared() -> None:
    fleet = Fleet({"a": 6, "b": 6, "two": 6}, rooms={"x": 6, "y": 6}, wishes={"two": ", replicas: 2"})
    fleet.steps({"a": 1, "b": 1}, 60)

    decided = fleet.steps({"two": 20}, 1)
    assert stance(decided, "two").kind == "asleep"
    fleet.steps({"two": 20}, 60)
    assert fleet.awake() >= {"two"}


def test_one_that_will_fit_once_others_have_left_for_a_third_waits_for_them_too() -> None:
    fleet = Fleet({"a": 6, "c": 4, "w": 6}, rooms={"x": 6, "y": 6}, wishes={"a": ", replicas: 2"})
    fleet.runs_on.add("a")
    fleet.steps({"a": 1}, 8)

    decided = fleet.steps({"a": 1, "c": 20, "w": 20}, 60)
    assert {name: stance(decided, name).why for name in "cw"} == dict.fromkeys("cw", "waits until `a` has finished")
    fleet.runs_on.clear()
    fleet.steps({"c": 1, "w": 1}, 4)
    assert fleet.awake() == {"c", "w"}


def test_a_warm_model_moves_nobody_and_takes_the_machine_that_is_free() -> None:
    fleet = Fleet({"a": 6, "w": 6}, rooms={"x": 6, "y": 6}, warm={"w"})
    fleet.steps({"a": 2}, 3)

    assert fleet.runs == {"x": ("a.x.1",), "y": ("w.y.1",)}


ROOMS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from([6, 8, 12]), min_size=2, max_size=3)
LOADS = st.fixed_dictionaries({name: st.integers(0, 12) for name in "abcw"})
PHASES = st.lists(st.tuples(LOADS, st.integers(1, 40)), min_size=1, max_size=5)


@settings(max_examples=6, deadline=None)
@given(ROOMS, PHASES, st.sampled_from(["", ", replicas: 2", ", on: [x]"]), st.booleans())
def test_no_machine_sees_two_swaps_in_one_dwell_time(
    rooms: dict[str, int], phases: list[tuple[dict[str, int], int]], wish: str, warm: bool
) -> None:
    fleet = Fleet({"a": 6, "b": 5, "c": 4, "w": 6}, rooms=rooms, wishes={"a": wish}, warm={"w"} if warm else set())
    swaps: dict[str, list[float]] = {name: [] for name in rooms}
    for asked, seconds in phases:
        for _ in range(seconds):
            homes = {identity.split(".")[0]: name for name, ids in fleet.runs.items() for identity in ids}
            seen = len(fleet.displaced)
            fleet.step(asked)
            for name in {homes[gone] for _, gone in fleet.displaced[seen:] if gone in homes}:
                swaps[name].append(fleet.now_s)
            assert all(
                sum(fleet.sizes[one.split(".")[0]] for one in ids) <= rooms[name] for name, ids in fleet.runs.items()
            )

    for moments in swaps.values():
        assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(moments))
