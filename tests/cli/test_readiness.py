"""What `potluck up` waits for: every model that somebody wants."""

from dataclasses import replace

import pytest

from cli.readiness import NotReadyError, settled
from cluster.snapshot import ModelState
from support.gateway import cluster_of, engine_at


@pytest.mark.parametrize(
    ("states", "done"),
    [({"a": "ready", "b": "unplaced"}, True), ({"a": "ready", "b": "starting"}, False), ({"a": "asleep"}, True)],
)
def test_it_waits_while_anything_starts(states: dict[str, ModelState], done: bool) -> None:
    snapshot = cluster_of([engine_at(None)], tuple(states))
    models = tuple(replace(model, state=states[model.name]) for model in snapshot.models)

    assert settled(replace(snapshot, models=models)) is done


def test_a_model_that_was_unloaded_is_not_waited_for_and_one_without_a_place_is_told() -> None:
    snapshot = cluster_of([engine_at(None)], ("a",))
    unplaced = replace(snapshot.models[0], state="unplaced", reason="too large")

    assert settled(replace(snapshot, models=(replace(unplaced, away=True),)))
    with pytest.raises(NotReadyError, match="a: unplaced: too large"):
        settled(replace(snapshot, models=(unplaced,)))
