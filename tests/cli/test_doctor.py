"""The doctor as a command, and how it asks: every check at once, none for longer than it may take."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Event

import pytest

from cli.checks.catalogue import CHECKS, checks_of
from cli.checks.examine import examine, examine_machine
from cli.checks.finding import Check, Finding, Result, ok
from cli.checks.situation import Situation, look_around
from inventory.paths import StatePaths
from support.doctor_state import DoctorState, install_engine, verdicts
from support.machine import POTLUCK

ROOT = Path(__file__).parents[2]
FIELDS = {"name", "topic", "verdict", "detail", "fix"}


@pytest.fixture
def situation(tmp_path: Path) -> Situation:
    return look_around(StatePaths.at(tmp_path / "state"))


def doctor(*words: str, state_dir: Path) -> tuple[int, list[Finding]]:
    environment = {**os.environ, "POTLUCK_STATE_DIR": str(state_dir), "POTLUCK_ENGINES_DIR": str(state_dir / "engines")}
    done = subprocess.run(
        [POTLUCK, "doctor", *words, "--json"], capture_output=True, text=True, env=environment, check=False
    )
    document = json.loads(done.stdout)
    assert (document["apiVersion"], document["kind"]) == ("potluck/v1", "DoctorReport")
    assert all(set(one) == FIELDS for one in document["findings"])
    return done.returncode, [Finding(**one) for one in document["findings"]]


def test_where_nothing_is_yet_only_an_engine_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POTLUCK_ENGINES_DIR", raising=False)
    state = DoctorState(StatePaths.at(tmp_path / "state"), 0, 0)
    mine = frozenset({"container", "file system", "disk", "ports"})  # this machine's own, and port 8400's user
    without = verdicts(state.findings(), mine)
    assert not state.paths.root.exists()
    install_engine(state.paths.engines, "llamacpp", "any")
    with_one = verdicts(state.findings(), mine - {"state"})

    assert without == {"services": "warn", "models": "warn", "engines": "fail"}
    assert {name: verdict for name, verdict in with_one.items() if name != "state"} == {
        "services": "warn",
        "models": "warn",
    }


def test_a_topic_is_told_alone_and_all_of_them_together(tmp_path: Path) -> None:
    parts = {topic: doctor(topic, state_dir=tmp_path / "s")[1] for topic in ("net", "gpu", "engine", "disk")}
    code, whole = doctor(state_dir=tmp_path / "s")

    for topic, findings in parts.items():
        assert {one.topic for one in findings} == {topic}
        assert {one.name for one in findings} == {one.name for one in whole if one.topic == topic}
    assert {one.topic for one in whole} == {"general", *parts}
    assert code == 3
    assert doctor("disk", state_dir=tmp_path / "s")[0] == 0


def test_another_topic_is_wrong_usage(tmp_path: Path) -> None:
    done = subprocess.run([POTLUCK, "doctor", "weather"], capture_output=True, check=False, cwd=tmp_path)

    assert done.returncode == 2


def test_every_check_is_there_under_a_name_of_its_own(situation: Situation) -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert checks_of(None) == CHECKS
    for path in (ROOT / "cli" / "checks").glob("*.py"):
        module = import_module(f"cli.checks.{path.stem}" if path.stem != "__init__" else "cli.checks")
        assert module.__doc__
    told = {finding.name: finding.detail for finding in examine(situation, CHECKS)}
    assert not [name for name, detail in told.items() if "could not be looked at" in detail], told


def test_the_manual_lists_every_check() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    listed = [line for line in manual.splitlines() if line.startswith("|")]

    missing = [check.name for check in CHECKS if not any(f"`{check.name}`" in line for line in listed)]
    assert missing == []


def test_a_package_that_answers_to_a_name_of_ours(tmp_path: Path) -> None:
    impostor = tmp_path / "rag"
    impostor.mkdir()
    (impostor / "__init__.py").write_text("")
    command = [sys.executable, "-m", "cli.main", "doctor", "--json"]
    environment = {**os.environ, "POTLUCK_STATE_DIR": str(tmp_path / "s"), "POTLUCK_ENGINES_DIR": str(tmp_path / "e")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    (rooms,) = [one for one in json.loads(done.stdout)["findings"] if one["name"] == "rooms"]
    assert rooms["verdict"] == "fail"
    assert f"rag from {tmp_path}" in rooms["detail"]
    assert rooms["fix"] == "run potluck in an environment of its own"


def test_a_check_that_hangs_costs_its_own_answer_only(situation: Situation) -> None:
    away = Event()

    def hangs(_: Situation) -> Iterator[Result]:
        away.wait()
        yield ok("back")

    checks = (Check("slow", "disk", hangs, within_s=0.1), Check("quick", "net", lambda _: [ok("fine")]))
    try:
        slow, quick = examine(situation, checks)
    finally:
        away.set()

    assert (slow.verdict, "no answer within" in slow.detail, slow.fix) == (
        "warn",
        True,
        "potluck doctor disk once more",
    )
    assert quick == Finding("quick", "ok", "fine", topic="net")


def test_a_state_directory_that_hangs_is_the_one_thing_told(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "state").ensure()
    os.mkfifo(paths.config_file)  # who opens it waits, as on a disk whose server is away
    try:
        (told,) = examine_machine(paths, CHECKS, within_s=0.5)
    finally:
        paths.config_file.open("r+b", buffering=0).close()

    assert (told.name, told.verdict) == ("state", "fail")
    assert str(paths.root) in told.detail and "hangs" in told.detail
    assert "a disk of this machine" in told.fix


def test_a_check_that_fails_says_so_and_hides_no_other(situation: Situation) -> None:
    def breaks(_: Situation) -> Iterator[Result]:
        raise OSError("the driver is on fire")

    def lacks(_: Situation) -> Iterator[Result]:
        import_module("a_package_that_nobody_has")
        yield ok("never")

    broken, lacking, fine = examine(
        situation,
        (Check("a", "gpu", breaks), Check("b", "net", lacks), Check("c", "general", lambda _: [ok("fine")])),
    )

    assert (broken.verdict, "OSError: the driver is on fire" in broken.detail) == ("warn", True)
    assert (lacking.verdict, lacking.fix) == ("warn", "pip install 'potluck[one-machine]'")
    assert fine.verdict == "ok"
