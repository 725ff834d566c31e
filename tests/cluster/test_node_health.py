from hypothesis import given
from hypothesis import strategies as st

from cluster.node_health import (
    Moment,
    NodeHealth,
    SilenceLimits,
    failed,
    joining,
    judged,
    membership,
    next_change_s,
    observed,
)
from cluster.wishes import NodeWish, labelled
from nodes.snapshot import NodeId
from support.cluster_facts import engine, node

BOX = node("box")
LIMITS = SilenceLimits(suspect_s=2.5, lost_s=9.0)


def at(seconds: float) -> Moment:
    return Moment(wall_s=1_000_000 + seconds, monotonic_s=50 + seconds)


def wish(duty: str, since_s: float = 0.0) -> NodeWish:
    return NodeWish(NodeId("box"), duty, (), 1_000_000 + since_s)  # type: ignore[arg-type]  # the tables hold plain text


def test_a_node_is_joining_until_it_reports() -> None:
    health = failed(joining(at(0)), "connection refused", at(60))

    assert (health.state, health.reason, health.since_s) == ("joining", "no report yet: connection refused", 1_000_000)
    assert judged(health, at(1000)) == health
    assert next_change_s(health) is None


def test_a_node_that_refuses_is_suspect_at_once_and_lost_after_a_while() -> None:
    ready = observed(joining(at(0)), BOX, at(1))
    suspect = failed(ready, "no answer", at(2))
    still = failed(suspect, "no answer", at(9.9), LIMITS)
    lost = failed(still, "no answer", at(10), LIMITS)

    assert [(item.state, item.since_s - 1_000_000) for item in (ready, suspect, still, lost)] == [
        ("ready", 1),
        ("suspect", 2),
        ("suspect", 2),
        ("lost", 10),
    ]
    assert lost.snapshot == BOX


def test_silence_alone_makes_it_suspect_within_3_s_and_lost_within_10_s() -> None:
    ready = observed(joining(at(0)), BOX, at(1))

    assert [judged(ready, at(1 + silent)).state for silent in (2.4, 2.5, 3, 8.9, 9, 10)] == [
        "ready",
        "suspect",
        "suspect",
        "suspect",
        "lost",
        "lost",
    ]
    assert judged(ready, at(4)).reason == "it has fallen silent"


def test_one_report_makes_it_ready_again() -> None:
    lost = failed(observed(joining(at(0)), BOX, at(1)), "x", at(60))
    back = observed(lost, BOX, at(61))

    assert (lost.state, back.state, back.reason, back.since_s) == ("lost", "ready", "", 1_000_061)


def test_the_operators_wish_shows_while_the_node_is_there_and_is_named_while_it_is_not() -> None:
    ready = observed(joining(at(0)), BOX, at(1))
    busy = observed(joining(at(0)), node("box", engines=[engine("m.box.1"), engine("n.box.1", "stopped")]), at(1))

    assert membership(ready, wish("serve")).state == "ready"
    assert membership(ready, wish("cordon", 7)).since_s == 1_000_007
    assert membership(busy, wish("cordon")).state == "cordoned"
    draining = membership(busy, wish("drain"))
    assert (draining.state, draining.reason) == ("draining", "drained by the operator; 1 engine left")
    assert membership(ready, wish("drain")).reason == "drained by the operator, and empty"
    gone = membership(judged(busy, at(60)), wish("drain"))
    assert (gone.state, gone.reason) == ("lost", "it has fallen silent; drained by the operator")


def test_labels_are_changed_one_by_one() -> None:
    assert labelled((("room", "attic"), ("tier", "1")), {"tier": None, "fan": "loud"}) == (
        ("fan", "loud"),
        ("room", "attic"),
    )


# --- laws

_steps = st.lists(st.tuples(st.sampled_from(["report", "failure", "time"]), st.floats(0.0, 12.0)), max_size=40)


def follow(steps: list[tuple[str, float]]) -> list[tuple[float, float | None, NodeHealth]]:
    """Each moment's time, when the node was heard last, and what is thought of it."""
    health, now_s, heard_s = joining(at(0)), 0.0, None
    told = []
    for what, pause_s in steps:
        now_s += pause_s
        if what == "report":
            health, heard_s = observed(health, BOX, at(now_s)), now_s
        elif what == "failure":
            health = failed(health, "no", at(now_s), LIMITS)
        else:
            health = judged(health, at(now_s), LIMITS)
        told.append((now_s, heard_s, health))
    return told


@given(_steps)
def test_a_state_says_how_long_a_node_was_silent_and_never_forgets_its_last_report(
    steps: list[tuple[str, float]],
) -> None:
    for (what, _), (now_s, heard_s, health) in zip(steps, follow(steps), strict=True):
        if heard_s is None:
            assert (health.state, health.snapshot) == ("joining", None)
            continue
        silent_s = (50 + now_s) - (50 + heard_s)
        assert health.snapshot == BOX
        assert (health.state == "ready") <= (silent_s < LIMITS.suspect_s)
        assert (silent_s >= LIMITS.lost_s) == (health.state == "lost")
        assert (what == "report") <= (health.state == "ready")
        assert health.since_s <= 1_000_000 + now_s


@given(_steps)
def test_whoever_judges_at_the_announced_time_misses_no_change(steps: list[tuple[str, float]]) -> None:
    for now_s, heard_s, health in follow(steps):
        change_s = next_change_s(health, LIMITS)
        if change_s is None:
            assert heard_s is None or health.state == "lost"
            continue
        assert judged(health, at(max(now_s, change_s - 50 - 0.01)), LIMITS).state in (health.state, "suspect", "lost")
        assert judged(health, at(change_s - 50 + 0.001), LIMITS).state != health.state


@given(_steps, st.sampled_from(["serve", "cordon", "drain"]))
def test_a_node_that_is_not_there_is_never_called_ready_cordoned_or_draining(
    steps: list[tuple[str, float]], duty: str
) -> None:
    for _, _, health in follow(steps):
        state = membership(health, wish(duty)).state
        assert (state in ("ready", "cordoned", "draining")) == (health.state == "ready")
        assert (state == "ready") == (health.state == "ready" and duty == "serve")
