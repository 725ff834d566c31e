import pytest

from cli.join import reach_back
from cli.join_checks import check_clock, check_engines, sleep_on_macos
from nodes.join_wire import Joined, Reported
from nodes.snapshot import InstalledEngine

JOINED = Joined("home", "mac", "", wall_s=1000.0, python="3.11.2", potluck="0.1.0", ray="")


@pytest.mark.parametrize(
    ("here_s", "verdict", "words"),
    [(1000.4, "ok", "0 s ahead"), (950.0, "ok", "50 s behind"), (1100.0, "warn", "100 s ahead of the head's")],
)
def test_a_clock_that_is_far_off_is_said_with_the_way_to_mend_it(here_s: float, verdict: str, words: str) -> None:
    finding = check_clock(JOINED, here_s)

    assert finding.verdict == verdict
    assert words in finding.detail
    assert bool(finding.fix) == (verdict == "warn")


# The form of the lines is that of the manual page pmset(1); nothing here was recorded on a Mac.
@pytest.mark.parametrize(
    ("pmset", "verdict"),
    [
        (" standby              0\n sleep                0 (sleep prevented by powerd)\n disksleep  10\n", "ok"),
        (" disksleep            10\n sleep                1\n", "warn"),
        (" displaysleep         10\n", "warn"),
        ("", "warn"),
    ],
)
def test_a_mac_that_sleeps_is_noticed(pmset: str, verdict: str) -> None:
    finding = sleep_on_macos(pmset)

    assert finding.verdict == verdict
    assert finding.fix == ("" if verdict == "ok" else "sudo pmset -a sleep 0")


def test_a_machine_without_an_engine_is_told_how_to_get_one() -> None:
    assert check_engines([]).fix.startswith("potluck engines install ")
    assert check_engines([InstalledEngine("vllm", "1.0")]).detail == "vllm 1.0"


def test_a_head_that_does_not_reach_back_is_said_with_the_port_to_open() -> None:
    assert reach_back(Reported("ready", ""), 8402).verdict == "ok"
    unreached = reach_back(Reported("joining", "no answer"), 8402)
    assert unreached.verdict == "warn"
    assert "8402" in unreached.fix
