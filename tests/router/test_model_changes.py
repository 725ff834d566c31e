"""Models that come and go, counted from the snapshots of the cluster."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.snapshot import ClusterSnapshot, ModelState
from nodes.snapshot import EngineSnapshot
from router.model_changes import ModelChanges
from support.gateway import cluster_of, engine_at

READY = replace(engine_at(None), ready_after_s=12.0)


def snapshot(engines: Sequence[EngineSnapshot], state: ModelState = "ready", away: bool = False) -> ClusterSnapshot:
    made = cluster_of(engines)
    return replace(made, models=tuple(replace(model, state=state, away=away) for model in made.models))


def told(changes: ModelChanges) -> dict[tuple[str, ...], float]:
    """Samples by their name's last part and their labels."""
    found: dict[tuple[str, ...], float] = {}
    for family in changes.collect():
        for sample in family.samples:
            if sample.name.endswith(("_total", "_count", "_sum")):
                found[sample.name.removeprefix("potluck_model_"), *sample.labels.values()] = sample.value
    return found


def test_what_ran_before_is_no_news() -> None:
    changes = ModelChanges()
    changes.follow(snapshot([READY]))
    changes.follow(snapshot([READY]))

    assert told(changes) == {}


def test_a_start_is_counted_once_with_what_it_took_and_again_when_it_starts_anew() -> None:
    changes = ModelChanges()
    starting = replace(READY, state="starting", ready_after_s=None)
    again = replace(READY, generation=2, ready_after_s=8.0)
    for engines in ([], [starting], [READY], [READY], [replace(starting, generation=2)], [again]):
        changes.follow(snapshot(engines))

    assert told(changes) == {("load_seconds_count", "toy", "here"): 2, ("load_seconds_sum", "toy", "here"): 20.0}


def test_a_departure_is_counted_once_by_how_its_model_stands_then() -> None:
    changes = ModelChanges()
    draining = replace(READY, state="draining")
    changes.follow(snapshot([READY]))
    changes.follow(snapshot([draining], "asleep"))
    changes.follow(snapshot([replace(READY, state="stopping")], "asleep"))
    changes.follow(snapshot([], "asleep"))
    changes.follow(snapshot([READY]))
    changes.follow(snapshot([], "unplaced", away=True))

    gone = {key[-1]: count for key, count in told(changes).items() if key[0] == "evictions_total"}
    assert gone == {"asleep": 1, "unloaded": 1}


def test_a_machine_that_is_gone_says_nothing_of_its_engines_and_a_crash_is_no_departure() -> None:
    changes = ModelChanges()
    changes.follow(snapshot([READY]))
    changes.follow(snapshot([replace(READY, state="backoff")]))
    changes.follow(snapshot([READY]))
    changes.follow(replace(snapshot([]), nodes=()))

    assert not [key for key in told(changes) if key[0] == "evictions_total"]
