"""`potluck logs`: what is read and what is left out; no line is lost or told twice while logs are cut and renamed."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.log_files import Follower, Logs
from cli.log_lines import Entry, Wanted, document_of, entry_of, line_of
from inventory.paths import StatePaths
from nodes.engine_log import trim
from support.command import Place
from support.command_here import potluck

NOON_S = 1_800_000_000.0
QUESTION = "what somebody asked a model"


def event(number: int, role: str = "node", /, **fields: object) -> str:
    time = datetime.fromtimestamp(NOON_S + number, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"event": f"event_{number}", "role": role, "level": "info", "timestamp": time, **fields}) + "\n"


def entries(paths: StatePaths, wanted: Wanted) -> list[Entry]:
    return Logs(paths, wanted).there()


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


def test_services_are_merged_by_time_and_older_logs_come_first(paths: StatePaths) -> None:
    (paths.logs / "node.log.1").write_text(event(1))
    (paths.logs / "node.log").write_text(event(3) + event(5))
    (paths.logs / "gateway.log").write_text(event(2, "gateway") + "not an event\n" + event(4, "gateway"))

    found = entries(paths, Wanted())

    assert [entry.event or entry.text for entry in found] == [
        "event_1", "event_2", "not an event", "event_3", "event_4", "event_5"
    ]  # fmt: skip
    assert found[2].level == "error"


def test_levels_times_and_models_are_chosen(paths: StatePaths) -> None:
    (paths.logs / "node.log").write_text(
        event(1, level="warning") + event(2, model="small") + event(3, engine="small.box.1") + event(4, model="smaller")
    )
    (paths.logs / "engine-small.box.1.log").write_text("loading\n")
    (paths.logs / "engine-smaller.box.1.log").write_text("not asked for\n")

    assert [one.event for one in entries(paths, Wanted(level="warning"))] == ["event_1"]
    assert [one.event for one in entries(paths, Wanted(since_s=NOON_S + 3))] == ["event_3", "event_4"]
    found = entries(paths, Wanted(model="small"))
    assert sorted(one.event or one.text for one in found) == ["event_2", "event_3", "loading"]


def test_a_field_that_logs_do_not_have_is_not_shown(paths: StatePaths) -> None:
    (paths.logs / "gateway.log").write_text(event(1, "gateway", prompt=QUESTION, status=200))

    for words in ((), ("-o", "json"), ("--json",)):
        said = potluck("logs", paths, *words).stdout

        assert QUESTION not in said and "prompt" not in said
        assert "status" in said


def test_nothing_to_show_is_said(paths: StatePaths) -> None:
    assert "nothing of the kind" in potluck("logs", paths).stderr
    assert potluck("logs", paths, "--json").stdout.count("entries") == 1


@given(st.text(), st.dictionaries(st.sampled_from(["detail", "reason", "engines"]), st.text() | st.lists(st.text())))
def test_any_line_becomes_one_line_without_commands_for_the_terminal(text: str, fields: dict[str, object]) -> None:
    for line in (text, event(1, **fields)):
        entry = entry_of(line, "node", NOON_S)

        assert all(char.isprintable() for char in line_of(entry))
        json.dumps(document_of(entry))


def test_a_log_is_followed_through_growth_renaming_and_cutting(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    follower = Follower(log)
    assert follower.lines() == []

    log.write_text("one\ntw")
    assert follower.lines() == ["one"]
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert follower.lines() == ["two", "three"]

    with log.open("a") as file:
        file.write("last of the old\n")
    log.replace(tmp_path / "node.log.1")
    log.write_text("first of the new\n")
    assert follower.lines() == ["last of the old", "first of the new"]

    with log.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(2000))
    assert len(follower.lines()) == 2000
    with log.open("a") as file:
        file.write("before the cut\n")
    assert trim(log, limit_bytes=1000, kept_bytes=500)
    with log.open("a") as file:
        file.write("after the cut\n")
    assert follower.lines() == ["before the cut", "after the cut"]


async def test_what_is_written_while_somebody_follows_is_told_and_nothing_from_before(paths: StatePaths) -> None:
    log = paths.logs / "node.log"
    log.write_text(event(1))
    told: list[str] = []
    async with asyncio.timeout(60), Place(paths.root).running("logs", "-f", "-n", "1", "-o", "json") as lines:
        first = json.loads(await lines.readline())
        for number in range(2, 5):
            with log.open("a") as file:
                file.write(event(number))
        (paths.logs / "gateway.log").write_text(event(9, "gateway"))
        while len(told) < 4:
            told.append(json.loads(await lines.readline())["event"])

    assert first["event"] == "event_1"
    assert sorted(told) == ["event_2", "event_3", "event_4", "event_9"]
