"""`potluck cache` as an operator types it, beside a gateway that may be running."""

import json
from functools import partial
from pathlib import Path

import pytest

from inventory.paths import StatePaths
from router.cache_store import CacheStore, Entry, Kind
from support.command_here import potluck
from support.manual_clock import ManualClock

cache = partial(potluck, "cache")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "state").ensure()
    store = CacheStore(paths.cache_db, ManualClock(), lambda: 1 << 30)
    kept: tuple[tuple[Kind, str, str, int], ...] = (
        ("answers", "home", "toy", 1000), ("answers", "home", "toy", 3 << 20), ("answers", "school", "toy", 10),
        ("vectors", "home", "usem3", 2048),
    )  # fmt: skip
    store.keep(
        [Entry(b"%d" % at, kind, tenant, model, b"x" * size) for at, (kind, tenant, model, size) in enumerate(kept)]
    )
    store.close()
    return paths


def test_the_largest_comes_first_and_totals_stand_below(paths: StatePaths) -> None:
    assert [line.split() for line in cache(paths, "stats").stdout.splitlines()] == [
        ["KIND", "TENANT", "MODEL", "ENTRIES", "SIZE"],
        ["answers", "home", "toy", "2", "3.0", "MiB"],
        ["vectors", "home", "usem3", "1", "0.0", "MiB"],
        ["answers", "school", "toy", "1", "0.0", "MiB"],
        ["total", "4", "3.0", "MiB"],
    ]
    document = json.loads(cache(paths, "stats", "--json").stdout)
    assert document["total"] == {"entries": 4, "bytes": (3 << 20) + 3058}
    assert document["rows"][1] == {"kind": "vectors", "tenant": "home", "model": "usem3", "entries": 1, "bytes": 2048}


def test_what_is_named_is_forgotten(paths: StatePaths) -> None:
    assert "1 entry is gone" in cache(paths, "clear", "--kind", "answers", "--tenant", "school").stderr
    assert "0 entries are gone" in cache(paths, "clear", "--model", "another").stderr
    assert "3 entries are gone" in cache(paths, "clear").stderr
    assert json.loads(cache(paths, "stats", "--json").stdout)["rows"] == []


def test_where_nothing_was_kept_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    said = cache(StatePaths.at(tmp_path / "state").ensure(), "stats", expect=4)
    assert said.stdout == ""
    assert "--state-dir" in said.stderr
