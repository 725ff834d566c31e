"""The model store on a real disk: what goes in comes out unchanged, whatever happens to the originals."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from inventory.catalog import StoredModel
from inventory.disk_space import DiskFullError
from inventory.gguf_header import GgufError
from inventory.incoming import HashMismatchError, Incoming
from inventory.store import DamagedModelError, ModelStore, NameTakenError, Origin
from inventory.store_records import DamagedRecordError, InvalidNameError, ModelNotFoundError, held_of, name_to_file
from support.gguf_files import write_gguf, write_split
from support.manual_clock import ManualClock

GIB = 1 << 30


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", ManualClock(), free=lambda _: 10 * GIB)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


def blobs(store: ModelStore) -> list[Path]:
    return sorted((store.root / "blobs").iterdir())


def blob_of(store: ModelStore, model: StoredModel) -> Path:
    return store.root / "blobs" / model.artifact.files[0].sha256


def test_an_imported_model_is_listed_with_its_hash_and_opened_under_its_own_name(
    store: ModelStore, model_file: Path
) -> None:
    model = store.import_path(model_file, "tiny")

    assert store.list() == (model,) == (store.get("tiny"),)
    assert store.by_artifact(model.artifact.artifact_id) == model
    opened = store.main_path(model.artifact.artifact_id)
    assert opened.name == "tiny.gguf"
    assert opened.read_bytes() == model_file.read_bytes()
    assert model.artifact.files[0].sha256 == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert (model.artifact.source, model.artifact.revision) == ("file:tiny.gguf", model.artifact.artifact_id[:12])
    assert model.created_s == 1_800_000_000


def test_a_later_edit_of_the_original_does_not_reach_the_store(store: ModelStore, model_file: Path) -> None:
    store.import_path(model_file, "tiny")
    with model_file.open("r+b") as file:
        file.write(b"XXXX")

    store.verify("tiny")


def test_blobs_are_read_only(store: ModelStore, model_file: Path) -> None:
    model = store.import_path(model_file, "tiny")

    assert blob_of(store, model).stat().st_mode & 0o777 == 0o444


def test_the_same_bytes_are_kept_once_and_freed_with_their_last_name(store: ModelStore, model_file: Path) -> None:
    store.import_path(model_file, "one")
    store.import_path(model_file, "two")

    assert len(blobs(store)) == 1
    assert store.remove("one") == 0
    assert store.remove("two") == model_file.stat().st_size
    assert (blobs(store), store.list()) == ([], ())
    assert not any((store.root / "artifacts").iterdir())


def test_the_same_bytes_have_the_same_artifact_id_in_every_store(
    store: ModelStore, model_file: Path, tmp_path: Path
) -> None:
    elsewhere = ModelStore(tmp_path / "other", ManualClock(5.0))
    ours = store.import_path(model_file, "tiny")
    theirs = elsewhere.admit([Incoming(model_file, "tiny.gguf")], Origin("hf:org/repo/tiny.gguf", "abc"), "other-name")

    assert ours.artifact.artifact_id == theirs.artifact.artifact_id
    assert theirs.artifact.revision == "abc"


def test_importing_again_changes_nothing_and_other_bytes_do_not_take_the_name(
    store: ModelStore, model_file: Path, tmp_path: Path
) -> None:
    first = store.import_path(model_file, "tiny")
    other = write_gguf(tmp_path / "other.gguf", "qwen3")

    assert store.import_path(model_file, "tiny") == first
    with pytest.raises(NameTakenError, match="potluck models rm tiny"):
        store.import_path(other, "tiny")
    assert store.list() == (first,)


def test_all_parts_of_a_split_model_come_along_under_their_names(store: ModelStore, tmp_path: Path) -> None:
    parts = write_split(tmp_path, "big", 3)
    model = store.import_path(parts[1], "big")

    paths = store.files(model.artifact.artifact_id)
    assert [path.name for path in paths] == [part.name for part in parts]
    assert store.main_path(model.artifact.artifact_id).name == "big-00001-of-00003.gguf"
    assert model.artifact.size_bytes == sum(part.stat().st_size for part in parts)


def test_a_projector_is_kept_beside_its_model(store: ModelStore, tmp_path: Path) -> None:
    directory = tmp_path / "vision"
    directory.mkdir()
    write_gguf(directory / "model.gguf")
    write_gguf(directory / "mmproj.gguf", "clip", {})
    model = store.import_path(directory, "vision")

    assert "vision" in model.artifact.spec.capabilities
    projector = store.projector_file(model.artifact.artifact_id)
    assert projector is not None
    assert projector.name == "mmproj.gguf"
    assert store.main_path(model.artifact.artifact_id).name == "model.gguf"


def test_a_damaged_file_is_refused_and_leaves_nothing_behind(store: ModelStore, model_file: Path) -> None:
    model_file.write_bytes(model_file.read_bytes()[:-40])

    with pytest.raises(GgufError, match=r"tiny\.gguf.*truncated"):
        store.import_path(model_file, "tiny")
    assert (blobs(store), list((store.root / "incoming").iterdir())) == ([], [])


def test_a_file_that_is_not_the_announced_one_is_refused(store: ModelStore, model_file: Path) -> None:
    with pytest.raises(HashMismatchError) as caught:
        store.admit([Incoming(model_file, "tiny.gguf", sha256="0" * 64)], Origin("hf:org/repo"), "tiny")

    assert caught.value.expected == "0" * 64
    assert (blobs(store), store.list()) == ([], ())


def test_a_full_disk_is_noticed_before_the_first_byte(tmp_path: Path, model_file: Path) -> None:
    full = ModelStore(tmp_path / "full", ManualClock(), free=lambda _: GIB)

    try:
        full.import_path(model_file, "tiny")
    except DiskFullError as error:
        assert error.needed_bytes == model_file.stat().st_size + GIB
        assert list((full.root / "incoming").iterdir()) == []
    else:
        assert full.verify("tiny")  # this file system shares blocks, so nothing had to be copied


def test_verify_names_the_first_bad_file(store: ModelStore, tmp_path: Path) -> None:
    model = store.import_path(write_split(tmp_path, "big", 3)[0], "big")
    bad = store.root / "blobs" / model.artifact.files[1].sha256
    bad.chmod(0o600)
    with bad.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x07")

    with pytest.raises(DamagedModelError) as caught:
        store.verify("big")
    assert caught.value.file == "big-00002-of-00003.gguf"


def test_importing_again_repairs_a_damaged_blob(store: ModelStore, model_file: Path) -> None:
    blob = blob_of(store, store.import_path(model_file, "tiny"))
    blob.chmod(0o600)
    blob.write_bytes(b"rotten")

    store.import_path(model_file, "tiny")

    store.verify("tiny")


def test_progress_reaches_the_total(store: ModelStore, model_file: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    size = model_file.stat().st_size

    store.import_path(model_file, "tiny", lambda done, total: calls.append((done, total)))
    store.verify("tiny", lambda done, total: calls.append((done, total)))

    assert calls == [(size, size), (size, size)]


def test_an_unknown_model_suggests_the_nearest_name(store: ModelStore, model_file: Path) -> None:
    store.import_path(model_file, "qwen3-8b")

    with pytest.raises(ModelNotFoundError, match=r"did you mean qwen3-8b\?"):
        store.get("qwen38b")


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "x" * 129, "naïve"])
def test_names_that_files_or_clients_could_not_carry_are_refused(
    store: ModelStore, model_file: Path, name: str
) -> None:
    with pytest.raises(InvalidNameError):
        store.import_path(model_file, name)


def test_names_with_slashes_and_capitals_stay_apart(store: ModelStore, model_file: Path) -> None:
    for name in ("Org/Model:Q4", "org/model:q4"):
        store.import_path(model_file, name)

    assert {model.name for model in store.list()} == {"Org/Model:Q4", "org/model:q4"}
    assert name_to_file("A/b", "gguf") == "%41%2fb.json"
    assert name_to_file("A/b", "mlx") == "%41%2fb@mlx.json"


def test_what_the_cluster_is_told_comes_from_the_records_alone(store: ModelStore, model_file: Path) -> None:
    model = store.import_path(model_file, "tiny")
    blob_of(store, model).unlink()

    held = store.held()
    assert held == (held_of(model),)
    assert (held[0].context_length, str(held[0].ref)) == (4096, f"tiny@{model.artifact.artifact_id[:12]}")


def test_a_spec_of_another_reader_version_is_read_again_from_the_blob(store: ModelStore, model_file: Path) -> None:
    model = store.import_path(model_file, "tiny")
    path = store.root / "manifests" / f"{model.artifact.artifact_id}.json"
    manifest = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**manifest, "spec_version": 0, "spec": {"layers": "many"}}))

    assert store.get("tiny") == model
    assert msgspec.json.decode(path.read_bytes())["spec_version"] != 0


def test_a_record_that_cannot_be_read_hides_no_other_model_and_frees_nothing(
    store: ModelStore, model_file: Path
) -> None:
    good = store.import_path(model_file, "good")
    store.import_path(model_file, "bad")
    (store.root / "names" / "bad.json").write_text('{"schema": 1')

    assert store.list() == (good,)
    assert [error.path for error in store.damaged()] == [str(store.root / "names" / "bad.json")]
    with pytest.raises(DamagedRecordError, match="delete it and import the model again"):
        store.get("bad")
    assert store.remove("good") == 0
    assert len(blobs(store)) == 1


IMPORTER = """
import sys
from pathlib import Path
from inventory.clock import SystemClock
from inventory.store import ModelStore
store = ModelStore(Path(sys.argv[1]), SystemClock())
for number in range(12):
    store.import_path(Path(sys.argv[2]), f"{sys.argv[3]}-{number}")
    if number % 3 == 0:
        store.remove(f"{sys.argv[3]}-{number}")
"""


def test_processes_that_import_and_remove_at_once_leave_a_whole_store(store: ModelStore, tmp_path: Path) -> None:
    files = [write_gguf(tmp_path / "one.gguf"), write_gguf(tmp_path / "two.gguf", "qwen3")]
    workers = [
        subprocess.Popen([sys.executable, "-c", IMPORTER, str(store.root), str(files[n % 2]), f"worker{n}"])
        for n in range(3)
    ]

    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    assert len(store.list()) == 24
    for model in store.list():
        store.verify(model.name)
    assert len(blobs(store)) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from inventory.clock import SystemClock
from inventory.store import ModelStore
store = ModelStore(Path(sys.argv[1]), SystemClock())
store.import_path(Path(sys.argv[2]), "tiny", lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_an_import_that_was_killed_is_swept_and_can_be_repeated(store: ModelStore, model_file: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.root), str(model_file)], timeout=60, check=False)
    assert killed.returncode == -9
    assert store.list() == ()

    store.import_path(model_file, "tiny")
    store.remove("tiny")

    assert list((store.root / "incoming").iterdir()) == []
