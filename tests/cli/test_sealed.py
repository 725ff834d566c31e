"""`potluck sealed` and the doctor's look at sealed mode, over a journal as sealed processes write it."""

import json
from pathlib import Path
from time import time

import pytest

from cli.checks.sealed import check_sealed
from cli.checks.situation import look_around
from inventory.paths import StatePaths
from nodes.sealing.guard import JOURNAL, Journal
from nodes.sealing.place import SealedRules, write_rules
from support.command_here import potluck

HOUR_MS = 3_600_000


@pytest.fixture
def sealed(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "state").ensure()
    write_rules(paths, SealedRules(True, ("10.1.0.0/24",)))
    return paths


def note(paths: StatePaths, verdict: str, peer: str, process: str = "potluck gateway") -> None:
    Journal(str(paths.sealed / JOURNAL), process).note(verdict, "connects to", peer, ("httpx", "somebody.s_library"))


def test_a_machine_that_was_never_sealed_has_nothing_to_report(tmp_path: Path) -> None:
    told = potluck("sealed", StatePaths.at(tmp_path).ensure(), "report", expect=4)

    assert "never sealed" in told.stderr


def test_the_report_says_who_was_refused_what_and_is_verified_elsewhere_by_its_key(
    sealed: StatePaths, tmp_path: Path
) -> None:
    for _ in range(3):
        note(sealed, "refused", "203.0.113.9:443")
    note(sealed, "contacted", "10.1.0.7:8402", "potluck head")
    shown = potluck("sealed", sealed, "report").stdout
    file, elsewhere = tmp_path / "report.json", StatePaths.at(tmp_path / "elsewhere").ensure()
    potluck("sealed", sealed, "report", "--out", str(file))
    key = json.loads(json.loads(file.read_text())["report"])["public_key"]
    read = potluck("sealed", elsewhere, "report", "--verify", str(file), "--key", key).stdout
    refused = next(line.split() for line in shown.splitlines() if "203.0.113.9" in line)

    assert refused[:4] == ["3", "connects", "to", "203.0.113.9:443"]
    assert "httpx < somebody.s_library" in shown
    assert "10.1.0.7:8402" in read and "its signature holds" in read
    potluck("sealed", elsewhere, "report", "--verify", str(file), expect=3)  # it has no key of its own to check it by


def test_what_lies_before_since_is_not_counted(sealed: StatePaths) -> None:
    line = {"at_ms": int(time() * 1000) - 2 * HOUR_MS, "verdict": "refused", "what": "connects to", "peer": "a:1"}
    (sealed.sealed / JOURNAL).write_text(json.dumps({**line, "count": 1, "process": "p"}) + "\n")

    rows = [
        json.loads(potluck("sealed", sealed, "report", "--since", since, "--json").stdout)["report"]["rows"]
        for since in ("3h", "1h")
    ]
    assert [len(found) for found in rows] == [1, 0]


def test_a_connection_that_passed_ends_the_report_with_3_and_is_the_doctors_finding(sealed: StatePaths) -> None:
    before = [result.verdict for result in check_sealed(look_around(sealed))]
    note(sealed, "refused", "203.0.113.9:443")
    refused = [result.verdict for result in check_sealed(look_around(sealed))]
    note(sealed, "passed", "203.0.113.9:443", "raylet")
    (passed,) = check_sealed(look_around(sealed))
    told = potluck("sealed", sealed, "report", expect=3).stdout

    assert (before, refused) == (["ok"], ["warn"])
    assert passed.verdict == "fail" and "raylet to 203.0.113.9:443" in passed.detail
    assert "PASSED THE GUARD" in told


def test_where_nothing_is_sealed_the_doctor_says_nothing(sealed: StatePaths) -> None:
    write_rules(sealed, SealedRules(False))

    assert list(check_sealed(look_around(sealed))) == []
