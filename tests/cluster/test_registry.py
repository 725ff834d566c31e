import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.registry import MIGRATIONS, Registry, RegistryVersionError
from nodes.snapshot import NodeId
from support.manual_clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    opened = Registry.open(path, ManualClock())
    yield opened
    opened.close()


def test_the_file_and_its_companions_are_private_and_durable(registry: Registry, path: Path) -> None:
    registry.next_epoch()

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"registry.db": 0o600, "registry.db-wal": 0o600, "registry.db-shm": 0o600}
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    other.close()


def test_the_epoch_grows_across_restarts(path: Path) -> None:
    epochs = []
    for wall_s in (1000.0, 1000.0, 5.0):  # a clock that stands, and one that was set back
        registry = Registry.open(path, ManualClock(wall_s))
        epochs.append(registry.next_epoch())
        registry.close()

    assert epochs == [1000, 1001, 1002]


def test_a_registry_restored_from_a_backup_still_outranks_what_nodes_have_seen(path: Path, tmp_path: Path) -> None:
    registry = Registry.open(path, ManualClock(1000.0))
    registry.close()
    backup = tmp_path / "backup.db"
    backup.write_bytes(path.read_bytes())
    lost = Registry.open(path, ManualClock(1010.0))
    seen = [lost.next_epoch() for _ in range(3)]
    lost.close()

    restored = Registry.open(backup, ManualClock(2000.0))
    assert restored.next_epoch() > max(seen)
    restored.close()


def test_a_revision_grows_only_when_the_configuration_changes(registry: Registry) -> None:
    revisions = [registry.note_config(config_hash, f"text {config_hash}") for config_hash in "aabba"]

    assert revisions == [1, 1, 2, 2, 3]
    latest = registry.latest_revision()
    assert latest is not None
    assert (latest.revision, latest.text) == (3, "text a")


def test_nodes_are_remembered_once(registry: Registry) -> None:
    for link in ("local", "https"):
        registry.note_node(NodeId("box"), link)

    assert registry.known_nodes() == ("box",)


def test_a_file_of_a_later_version_is_refused_by_name(path: Path) -> None:
    Registry.open(path, ManualClock()).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    other.close()

    known = len(MIGRATIONS)
    with pytest.raises(RegistryVersionError, match=rf"registry\.db has schema {known + 1}, .* knows up to {known}"):
        Registry.open(path, ManualClock())
