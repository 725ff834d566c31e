"""`potluck usage` as an operator types it, without a head: what is on record needs none."""

import csv
import json
from functools import partial
from io import StringIO
from pathlib import Path

import msgspec
import pytest

from cli.render_usage import UsageTable, usage_csv, usage_document, usage_remarks, usage_table
from inventory.paths import StatePaths
from router.usage_query import UsageQuery, UsageRow
from router.usage_rollup import Sums
from support.command_here import potluck
from support.records import ARRIVED_S, a_record, written

usage = partial(potluck, "usage")
DAY = ("--since", "2027-01-15", "--until", "2027-01-16")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "state").ensure()
    written(
        paths.telemetry_db,
        a_record(1, input_tokens=1200, cached_tokens=200, output_tokens=34, reasoning_tokens=9),
        a_record(2, key_id="k2", group="7b", user="=1+1", model="big", node_id="mac"),
        a_record(5, cache_hit=True, input_tokens=None, output_tokens=None, duration_s=0.0),
        a_record(3, arrived_wall_s=ARRIVED_S + 7200, tokens_exact=False, outcome="cancelled", status=499),
        a_record(4, key_id="k2", group="7b", arrived_wall_s=ARRIVED_S + 86400),
    )
    return paths


def test_the_table_has_a_line_for_each_key_and_the_totals(paths: StatePaths) -> None:
    said = usage(paths, *DAY)

    headers, *lines = [line.split() for line in said.stdout.splitlines()]
    assert headers[:4] == ["KEY", "KEY", "ID", "REQUESTS"]
    assert lines == [
        ["-", "k", "3", "0", "0", "1", "1", "1,210", "200", "37", "9", "1", "2"],
        ["-", "k2", "1", "0", "0", "0", "0", "10", "0", "3", "0", "0", "1"],
        ["total", "4", "0", "0", "1", "1", "1,220", "200", "40", "9", "1", "3"],
    ]
    assert "from 2027-01-15T00:00:00Z to 2027-01-16T00:00:00Z" in said.stderr
    assert "1 requests broke off" in said.stderr
    assert "no head answers here" in said.stderr


def test_csv_is_for_spreadsheets(paths: StatePaths) -> None:
    rows = list(csv.DictReader(StringIO(usage(paths, *DAY, "--by", "day,user,key", "--csv").stdout)))

    assert [(row["day"], row["user"], row["key"], row["key_id"]) for row in rows] == [
        ("2027-01-15", "", "", "k"),
        ("2027-01-15", "'=1+1", "", "k2"),
    ]
    assert (rows[0]["input_tokens"], rows[0]["seconds"]) == ("1210", "2.000")


def test_json_has_every_figure_and_says_what_is_not_known(paths: StatePaths) -> None:
    document = json.loads(usage(paths, *DAY, "--by", "hour,key,user", "--json").stdout)

    assert (document["kind"], document["by"]) == ("Usage", ["hour", "key", "user"])
    assert (document["since"], document["until"]) == ("2027-01-15T00:00:00Z", "2027-01-16T00:00:00Z")
    assert [(row["hour"], row["key"], row["key_id"], row["user"]) for row in document["rows"]] == [
        ("2027-01-15T08:00:00Z", None, "k", None),
        ("2027-01-15T08:00:00Z", None, "k2", "=1+1"),
        ("2027-01-15T10:00:00Z", None, "k", None),
    ]
    assert document["rows"][0]["reasoning_tokens"] == 9
    assert (document["total"]["requests"], document["total"]["cache_hits"]) == (4, 1)


@pytest.mark.parametrize(
    ("arguments", "requests"),
    [
        (("--key", "k2"), 2),
        (("--group", "7b"), 2),
        (("--group", "7b", "--until", "2027-01-16"), 1),
        (("--model", "big"), 1),
        (("--since", "2027-01-15T09:30"), 2),
        (("--since", "2027-01-15T10:00:00+02:00", "--until", "2027-01-15T10:00+01:00"), 3),
        (("--key", "nobody"), 0),
    ],
)
def test_less_can_be_asked_for(paths: StatePaths, arguments: tuple[str, ...], requests: int) -> None:
    since = () if "--since" in arguments else ("--since", "2027-01-01")
    until = () if "--until" in arguments else ("--until", "2027-02-01")
    document = json.loads(usage(paths, *arguments, *since, *until, "--json").stdout)

    assert document["total"]["requests"] == requests


def test_the_last_thirty_days_are_shown_unless_something_else_is_asked_for(tmp_path: Path) -> None:
    from inventory.clock import SystemClock

    paths = StatePaths.at(tmp_path / "state").ensure()
    now_s = SystemClock().wall_s()
    written(paths.telemetry_db, *(a_record(days, arrived_wall_s=now_s - days * 86400) for days in (0, 6, 8, 29, 31)))

    def requests(*arguments: str) -> object:
        return json.loads(usage(paths, *arguments, "--json").stdout)["total"]["requests"]

    assert (requests(), requests("--since", "7d"), requests("--since", "2h")) == (4, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--by", "colour"), "'colour' is not one of"),
        (("--by", "key,key"), "name each once"),
        (("--since", "yesterday"), "'yesterday' is neither"),
        (("--since", "2027-01-02", "--until", "2027-01-01"), "ends before it begins"),
        (("--csv", "--json"), "either CSV or JSON"),
    ],
)
def test_what_makes_no_sense_is_refused(paths: StatePaths, arguments: tuple[str, ...], word: str) -> None:
    said = usage(paths, *arguments, expect=2).stderr

    assert word in " ".join(said.replace("│", " ").split())


def test_where_nothing_was_recorded_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    said = usage(StatePaths.at(tmp_path / "empty").ensure(), expect=4)

    assert "there is no usage at" in said.stderr and "potluck up" in said.stderr


def test_keys_are_named_where_their_names_are_known_and_shown_by_their_ids_beside() -> None:
    rows = [UsageRow(("k1",), Sums(2, input_tokens=5)), UsageRow(("k9",), Sums(1))]
    shown = UsageTable(UsageQuery(("key",), 0, 3600), rows, {"k1": "anna\x1b[31m"})

    assert [line.split()[:2] for line in usage_table(shown).splitlines()[1:3]] == [["anna\\x1b[31m", "k1"], ["-", "k9"]]
    assert usage_csv(shown).splitlines()[1].startswith("anna\\x1b[31m,k1,2,")
    rows = msgspec.convert(usage_document(shown)["rows"], list[dict[str, object]])
    assert [row["key"] for row in rows] == ["anna\x1b[31m", None]
    assert usage_remarks(shown, names_known=True) == ["from 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_name_is_a_formula(name: str) -> None:
    shown = UsageTable(UsageQuery(("user",), 0, 3600), [UsageRow((name,), Sums(1))], {})
    (row,) = list(csv.reader(StringIO(usage_csv(shown))))[1:]

    assert row[0][0] not in "=+-@\t\r"
