import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.key_records import KeyRecords
from cluster.registry import MIGRATIONS, Registry
from cluster.snapshot import KeyRecord
from support.manual_clock import ManualClock


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(Registry.open(tmp_path / "registry.db", ManualClock())) as opened:
        yield opened


@pytest.fixture
def records(registry: Registry) -> KeyRecords:
    return KeyRecords(registry, ManualClock(wall_s=50.0))


def key(key_id: str, name: str | None = None, expires_s: int | None = None) -> KeyRecord:
    return KeyRecord(key_id, "ab" * 32, "user", "home", "7b", "private", 1, expires_s, name or key_id)


def test_a_key_comes_back_as_it_was_put(records: KeyRecords) -> None:
    plain = key("one", expires_s=5)
    narrow = replace(key("two"), scopes=("inference",), models=("qwen3-*", "toy"), front_end=True, answers_kept_s=90)
    shut = replace(key("three"), scopes=(), models=())  # nothing at all is not the same as everything
    for record in (plain, narrow, shut):
        records.put(record)

    assert records.active() == (plain, shut, narrow)
    assert records.named("two") == narrow
    assert records.named("four") is None


def test_a_key_is_replaced_in_one_step_and_what_it_was_is_remembered(records: KeyRecords) -> None:
    records.put(key("one", name="7b"))
    records.put(key("two", name="7b"), replaced=("one",))

    assert records.active() == (key("two", name="7b"),)
    assert [(stored.record.key_id, stored.revoked_s) for stored in records.all()] == [("one", 50), ("two", None)]


def test_keys_of_one_second_are_told_in_the_order_in_which_they_were_made(records: KeyRecords) -> None:
    for key_id in ("two", "one", "three"):
        records.put(key(key_id))

    assert [stored.record.key_id for stored in records.all()] == ["two", "one", "three"]


def test_a_failed_replacement_leaves_the_old_key(records: KeyRecords) -> None:
    records.put(key("one"))
    records.put(key("two"))

    with pytest.raises(sqlite3.IntegrityError):
        records.put(key("two"), replaced=("one",))

    assert [record.key_id for record in records.active()] == ["one", "two"]


def test_a_name_is_had_by_one_key_at_a_time(records: KeyRecords) -> None:
    records.put(key("one", name="7b"))

    with pytest.raises(sqlite3.IntegrityError):
        records.put(key("two", name="7b"))
    records.revoke("one")
    records.put(key("two", name="7b"))

    assert records.named("7b") == key("two", name="7b")


def test_the_owners_key_of_an_earlier_potluck_gets_its_name(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    before = next(at for at, script in enumerate(MIGRATIONS) if "keys_by_name" in script)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        for script in MIGRATIONS[:before]:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {before}")
        old.execute("INSERT INTO keys VALUES ('aa', 'ff', 'admin', 'owner', 'owner', 'private', 7, NULL)")

    with closing(Registry.open(path, ManualClock())) as registry:
        (record,) = KeyRecords(registry, ManualClock()).active()

    assert record == KeyRecord("aa", "ff", "admin", "owner", "owner", "private", 7, None, name="owner")
