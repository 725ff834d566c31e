"""What a short machine gives up: caches first, then engines, the least valuable first and one at a time."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nodes.pressure import LEVELS, Pressure
from nodes.pressure_shed import SETTLE_S, TRIM_S, Holding, Shedding, Step, least_valuable_first, next_step
from nodes.snapshot import EngineId, PressureLevel

ALWAYS = Holding(EngineId("always"), "ready", False, False, 50.0, 900, False)
ASLEEP_SOON = Holding(EngineId("on-demand"), "ready", True, False, 90.0, 500, False)


def at(level: PressureLevel) -> Pressure:
    return Pressure(level, "310 MiB available", 0.0, level)


def after(*looks: tuple[float, PressureLevel, list[Holding]]) -> list[Step | None]:
    shedding, steps = Shedding(), []
    for at_s, level, engines in looks:
        shedding, step = next_step(engines, at(level), shedding, at_s)
        steps.append(step)
    return steps


def ids(*engines: Holding) -> list[str]:
    return [one.engine_id for one in least_valuable_first(engines)]


def test_on_demand_then_idle_then_longest_unused_then_largest() -> None:
    busy = replace(ASLEEP_SOON, engine_id=EngineId("busy"), busy=True)
    old = replace(ALWAYS, engine_id=EngineId("old"), used_s=10.0)
    large = replace(ALWAYS, engine_id=EngineId("large"), held_bytes=901)

    assert ids(ALWAYS, busy, ASLEEP_SOON) == ["on-demand", "busy", "always"]
    assert ids(ALWAYS, old, large) == ["old", "large", "always"]


def test_nothing_is_given_up_while_the_machine_is_only_tight() -> None:
    assert after(*((float(second), "tight", [ALWAYS, ASLEEP_SOON]) for second in range(60))) == [None] * 60


def test_caches_go_first_and_an_engine_only_if_that_was_not_enough() -> None:
    giver = replace(ALWAYS, engine_id=EngineId("mlx"), gives_back=True)
    engines = [giver, ASLEEP_SOON]
    trim, early, drain = after((0.0, "short", engines), (TRIM_S - 0.1, "short", engines), (TRIM_S, "short", engines))

    assert trim is not None and (trim.kind, trim.engines) == ("trim", ("mlx",))
    assert early is None
    assert drain is not None and (drain.kind, drain.engines) == ("drain", ("on-demand",))


def test_a_moment_of_ease_begins_a_new_spell() -> None:
    engines = [ALWAYS]

    assert after((0.0, "short", engines), (2.0, "tight", engines), (TRIM_S, "short", engines)) == [None] * 3


def test_while_one_leaves_nobody_else_has_to() -> None:
    leaving = replace(ASLEEP_SOON, state="draining")
    steps = after(
        (0.0, "short", [ALWAYS, leaving]),
        (60.0, "short", [ALWAYS, leaving]),
        (60.5, "short", [ALWAYS]),
        (60.0 + SETTLE_S, "short", [ALWAYS]),
    )

    assert steps[:3] == [None] * 3
    assert steps[3] is not None and steps[3].engines == ("always",)


def test_at_once_means_the_one_that_leaves_already_then_the_least_valuable() -> None:
    leaving = replace(ALWAYS, engine_id=EngineId("leaving"), state="draining")
    going = replace(leaving, state="stopping")
    first, second, third = after(
        (0.0, "critical", [ASLEEP_SOON, leaving]),
        (0.2, "critical", [ASLEEP_SOON, going]),
        (0.2 + SETTLE_S, "critical", [ASLEEP_SOON, ALWAYS]),
    )

    assert first is not None and (first.kind, first.engines) == ("stop", ("leaving",))
    assert second is None
    assert third is not None and (third.kind, third.engines) == ("stop", ("on-demand",))


def test_a_level_that_only_still_holds_gives_nobody_up() -> None:
    eased = Pressure("critical", "told", 0.0, reading="tight")

    assert next_step([ALWAYS], eased, Shedding(0.0), 100.0) == (Shedding(), None)


_states = st.sampled_from(["starting", "ready", "draining", "stopping"])
_engines = st.lists(
    st.builds(
        Holding, st.sampled_from(list("abcdef")), _states, st.booleans(), st.booleans(), st.floats(0, 9),
        st.integers(0, 9), st.booleans(),
    ),
    max_size=6, unique_by=lambda one: one.engine_id,
)  # fmt: skip


@given(_engines, st.sampled_from(LEVELS), st.floats(0, 100))
def test_at_most_one_engine_goes_at_a_time_and_none_while_another_is_on_its_way(
    engines: list[Holding], level: PressureLevel, now_s: float
) -> None:
    _, step = next_step(engines, at(level), Shedding(0.0, trimmed=True), now_s)
    if step is None:
        return
    (chosen,) = step.engines
    state = next(one.state for one in engines if one.engine_id == chosen)
    assert level in ("short", "critical")
    assert not any(one.state == "stopping" for one in engines)
    assert state == "draining" or not any(one.state == "draining" for one in engines)
    assert step.kind == ("stop" if level == "critical" else "drain")
