"""What the demo's made-up users ask."""

from itertools import islice, pairwise

from cli.demo_traffic import ASKERS, TURNS, questions
from cluster.demo import demo_config


def test_conversations_grow_so_that_their_beginnings_come_again() -> None:
    asked = list(islice(questions(("a", "b")), 2 * TURNS))

    assert [model for model, _ in asked] == ["a"] * TURNS + ["b"] * TURNS
    for (_, before), (_, after) in pairwise(asked[:TURNS]):
        assert after[: len(before)] == before
    assert asked[0][1] != asked[TURNS][1]


def test_they_ask_only_for_what_always_runs_there() -> None:
    """One that sleeps is for whoever looks on: traffic would keep it awake."""
    models = demo_config().config.models

    assert all(models[name].keep_alive is None for names in ASKERS.values() for name in names)
