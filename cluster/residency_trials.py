"""What fits beside what: the residency planner's questions to placement. Pure."""

from collections import Counter
from collections.abc import Mapping

from cluster.residency_values import Trial
from inventory.catalog import ModelName
from nodes.snapshot import NodeId

Names = frozenset[ModelName]


class Trials:
    """What fits beside what. Each question is asked of placement once."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._known: dict[Names, tuple[Counter[ModelName], Mapping[ModelName, frozenset[NodeId]]]] = {}

    def fits(self, name: ModelName, among: Names) -> bool:
        """It has a place, and nobody loses one."""
        before, after = self.counts(among - {name}), self.counts(among | {name})
        return after[name] > 0 and all(after[other] >= count for other, count in before.items())

    def has_place(self, name: ModelName, awake: Names) -> bool:
        return self.counts(awake)[name] > 0

    def counts(self, awake: Names) -> Counter[ModelName]:
        return self._of(awake)[0]

    def nodes(self, awake: Names) -> Mapping[ModelName, frozenset[NodeId]]:
        return self._of(awake)[1]

    def _of(self, awake: Names) -> tuple[Counter[ModelName], Mapping[ModelName, frozenset[NodeId]]]:
        if awake not in self._known:
            placed = [(item.spec.model.name, item.node_id) for item in self._trial(awake).assignments]
            names = Counter(name for name, _ in placed)
            nodes = {name: frozenset(node for one, node in placed if one == name) for name in names}
            self._known[awake] = (names, nodes)
        return self._known[awake]
