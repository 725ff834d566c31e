from cluster.node_health import Moment, failed, joining, observed
from support.cluster_facts import node

BOX = node("box")


def at(seconds: float) -> Moment:
    return Moment(wall_s=1_000_000 + seconds, monotonic_s=50 + seconds)


def test_a_node_is_joining_until_it_reports() -> None:
    health = failed(joining(at(0)), "connection refused", at(60))

    assert (health.state, health.reason, health.since_s) == ("joining", "no report yet: connection refused", 1_000_000)


def test_a_silent_node_is_suspect_at_once_and_lost_after_a_while() -> None:
    ready = observed(joining(at(0)), BOX, at(1))
    suspect = failed(ready, "no answer", at(10))
    still = failed(suspect, "no answer", at(24))
    lost = failed(still, "no answer", at(25))

    assert [(item.state, item.since_s - 1_000_000) for item in (ready, suspect, still, lost)] == [
        ("ready", 1),
        ("suspect", 10),
        ("suspect", 10),
        ("lost", 25),
    ]
    assert lost.snapshot == BOX


def test_one_report_makes_it_ready_again() -> None:
    lost = failed(failed(observed(joining(at(0)), BOX, at(1)), "x", at(2)), "x", at(60))
    back = observed(lost, BOX, at(61))

    assert (lost.state, back.state, back.reason, back.since_s) == ("lost", "ready", "", 1_000_061)
    assert failed(back, "x", at(62)).state == "suspect"


def test_since_does_not_move_while_the_state_stays() -> None:
    ready = observed(joining(at(0)), BOX, at(1))

    assert observed(ready, BOX, at(100)).since_s == ready.since_s
