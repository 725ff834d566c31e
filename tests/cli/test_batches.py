"""`potluck batches` as an operator types it, beside a gateway that may be running."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from inventory.paths import StatePaths
from router.batches.store import BatchStore
from router.batches.values import BatchRow, LineAnswer, LineSpan, Owner
from router.request import Identity
from support.command_here import potluck

batches = partial(potluck, "batches")


def batch(name: str, created_s: int) -> BatchRow:
    identity = Identity("k1", "home", "family", "user", "private", frozenset())
    times = {"validating": created_s, "expires": created_s + 86_400}
    owner = Owner("home", "k1", "")
    return BatchRow(f"batch_{name}", owner, identity, "/v1/embeddings", "file-1", None, "validating", times)


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "state").ensure()
    store = BatchStore(paths)
    store.save(batch("old", 1_700_000_000).turned("cancelled", 1_700_000_100))
    begun = batch("begun", 1_800_000_000)
    store.save(begun)
    begun = replace(begun, status="in_progress")
    store.begin(begun, [LineSpan(at, str(at), "toy", 0, 0) for at in range(1500)])
    store.settle(begun.batch_id, 3, LineAnswer(200, "req_1", b"{}"), failed=False)
    store.settle(begun.batch_id, 3, LineAnswer(500, "req_2", b"{}"), failed=True)  # too late: it has its answer
    store.settle(begun.batch_id, 4, LineAnswer(400, "req_3", b"{}"), failed=True)
    store.close()
    return paths


def test_those_under_way_are_shown_with_how_far_they_have_come(paths: StatePaths) -> None:
    assert [line.split() for line in batches(paths).stdout.splitlines()] == [
        ["BATCH", "STATUS", "TENANT", "KEY", "ENDPOINT", "DONE", "FAILED", "LINES", "CREATED"],
        ["batch_begun", "in_progress", "home", "k1", "/v1/embeddings", "1", "1", "1,500", "2027-01-15T08:00:00Z"],
    ]


def test_those_that_are_over_are_shown_to_who_asks(paths: StatePaths) -> None:
    document = json.loads(batches(paths, "--all", "--json").stdout)

    assert [(row["id"], row["status"]) for row in document["rows"]] == [
        ("batch_begun", "in_progress"), ("batch_old", "cancelled")
    ]  # fmt: skip
    assert document["rows"][1]["times"]["cancelled"] == "2023-11-14T22:15:00Z"


def test_where_no_gateway_has_run_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    said = batches(StatePaths.at(tmp_path / "state").ensure(), expect=4)
    assert said.stdout == ""
    assert "--state-dir" in said.stderr


def test_a_list_is_printed_in_the_form_that_is_asked_for(paths: StatePaths) -> None:
    wide = batches(paths, "-o", "wide").stdout.splitlines()
    assert wide[0].split()[-3:] == ["EXPIRES", "USER", "OUTPUT"]
    assert wide[1].split()[-3:] == ["2027-01-16T08:00:00Z", "-", "-"]
    assert batches(paths, "--all", "-o", "name").stdout.splitlines() == ["batch_begun", "batch_old"]
    document = yaml.safe_load(batches(paths, "-o", "yaml").stdout)
    assert document == json.loads(batches(paths, "-o", "json").stdout) == json.loads(batches(paths, "--json").stdout)
    assert (document["apiVersion"], document["kind"], document["rows"][0]["total"]) == ("potluck/v1", "Batches", 1500)


def test_two_forms_at_once_are_refused(paths: StatePaths) -> None:
    assert "either JSON or yaml" in batches(paths, "--json", "-o", "yaml", expect=2).stderr
    assert "xml" in batches(paths, "-o", "xml", expect=2).stderr
