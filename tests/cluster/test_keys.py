import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.key_records import KeyRecords
from cluster.keys import OwnerKey, check_private, ensure_pepper, key_digest, new_key
from cluster.registry import Registry
from inventory.paths import StatePaths
from inventory.secret_files import ExposedSecretError
from support.manual_clock import ManualClock


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


@pytest.fixture
def registry(paths: StatePaths) -> Iterator[Registry]:
    opened = Registry.open(paths.registry_db, ManualClock())
    yield opened
    opened.close()


@pytest.fixture
def records(registry: Registry) -> KeyRecords:
    return KeyRecords(registry, ManualClock())


@pytest.fixture
def owner(paths: StatePaths, records: KeyRecords) -> OwnerKey:
    return OwnerKey(paths, records, ensure_pepper(paths.pepper), ManualClock())


def test_a_key_holds_256_bits_and_an_id_without_underscores() -> None:
    key_id, key = new_key()

    assert re.fullmatch(r"pl_[0-9a-f]{10}_[A-Za-z0-9_-]{43}", key)
    assert key.split("_")[1] == key_id
    assert new_key() != (key_id, key)


def test_the_first_start_makes_the_owners_key_once(paths: StatePaths, records: KeyRecords, owner: OwnerKey) -> None:
    assert owner.ensure() is True
    text = paths.owner_key.read_text()
    assert owner.ensure() is False

    assert paths.owner_key.read_text() == text
    assert stat.S_IMODE(paths.owner_key.stat().st_mode) == 0o600
    (record,) = records.active()
    assert record.role == "admin"
    assert record.digest_hex == key_digest(ensure_pepper(paths.pepper), text.strip())


def test_the_registry_never_holds_the_key(paths: StatePaths, registry: Registry, owner: OwnerKey) -> None:
    owner.ensure()
    secret = paths.owner_key.read_text().strip().encode().split(b"_", 2)[2]
    registry.close()

    assert secret not in paths.registry_db.read_bytes()


def test_rotation_leaves_one_key_and_another_secret(paths: StatePaths, records: KeyRecords, owner: OwnerKey) -> None:
    owner.ensure()
    before, (old,) = paths.owner_key.read_text(), records.active()

    record = owner.rotate()

    assert records.active() == (record,)
    assert record.key_id != old.key_id
    assert paths.owner_key.read_text() != before


def test_a_key_file_the_registry_does_not_know_is_replaced(
    paths: StatePaths, records: KeyRecords, owner: OwnerKey
) -> None:
    owner.ensure()
    paths.owner_key.write_text("pl_0000000000_" + "a" * 43)

    assert owner.ensure() is True

    (record,) = records.active()
    assert paths.owner_key.read_text().split("_")[1] == record.key_id


def test_the_pepper_is_made_once(paths: StatePaths) -> None:
    first = ensure_pepper(paths.pepper)

    assert ensure_pepper(paths.pepper) == first
    assert len(first) == 44
    assert stat.S_IMODE(paths.pepper.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["pepper", "owner_key", "registry_db", "telemetry_db"])
def test_a_secret_others_can_read_is_refused_with_what_mends_it(paths: StatePaths, owner: OwnerKey, name: str) -> None:
    owner.ensure()
    check_private(paths)
    exposed: Path = getattr(paths, name)
    exposed.touch()
    exposed.chmod(0o640)

    with pytest.raises(ExposedSecretError, match=rf"run: chmod 600 {re.escape(str(exposed))}"):
        check_private(paths)
