"""Model folders in the store: one name, an artifact per format, and a folder that an engine can open."""

import json
from pathlib import Path

import pytest

from inventory.incoming import Incoming
from inventory.model_error import ModelFileError
from inventory.model_files import UnusableModelError
from inventory.store import DamagedModelError, ModelStore, NameTakenError, Origin
from inventory.store_records import ModelNotFoundError, held_of
from support.folder_files import write_folder, write_sharded
from support.gguf_files import write_gguf
from support.manual_clock import ManualClock


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", ManualClock())


def test_an_engine_is_given_a_folder_with_every_file_under_its_own_name(store: ModelStore, tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "tiny", 2)
    model = store.import_path(folder, "tiny")

    opened = store.main_path(model.artifact.artifact_id)
    assert opened.is_dir()
    assert {path.name: path.read_bytes() for path in opened.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert [(file.path, file.role) for file in model.artifact.files] == [
        ("model-00001-of-00002.safetensors", "weights"),
        ("model-00002-of-00002.safetensors", "weights"),
        ("config.json", "settings"),
        ("model.safetensors.index.json", "settings"),
        ("tokenizer.json", "settings"),
        ("tokenizer_config.json", "settings"),
    ]
    assert (model.artifact.format, model.artifact.source) == ("safetensors", "file:tiny")
    assert store.files(model.artifact.artifact_id)[0] == opened / "model-00001-of-00002.safetensors"


def test_one_name_holds_an_artifact_of_each_format(store: ModelStore, tmp_path: Path) -> None:
    gguf = store.import_path(write_gguf(tmp_path / "tiny.gguf"), "tiny")
    plain = store.import_path(write_folder(tmp_path / "hf"), "tiny")
    mlx = store.import_path(write_folder(tmp_path / "mlx", written_as="mlx"), "tiny")

    assert store.artifacts("tiny") == (gguf, plain, mlx)
    assert store.get("tiny") == gguf
    assert (store.get("tiny", "mlx"), store.find("tiny", "safetensors")) == (mlx, plain)
    assert {held.format for held in store.held()} == {"gguf", "safetensors", "mlx"}
    assert set(store.held()) == {held_of(model) for model in (gguf, plain, mlx)}
    assert store.verify("tiny") == (gguf, plain, mlx)


def test_a_format_is_removed_alone_or_all_go_with_the_name(store: ModelStore, tmp_path: Path) -> None:
    gguf = store.import_path(write_gguf(tmp_path / "tiny.gguf"), "tiny")
    plain = store.import_path(write_folder(tmp_path / "hf"), "tiny")

    assert store.remove("tiny", "safetensors") == plain.artifact.size_bytes
    assert store.list() == (gguf,)
    with pytest.raises(ModelNotFoundError, match=r"tiny \(safetensors\) is not on this machine"):
        store.get("tiny", "safetensors")
    store.import_path(write_folder(tmp_path / "hf"), "tiny")
    store.remove("tiny")
    assert store.list() == ()
    assert not any((store.root / "artifacts").iterdir())
    assert not any((store.root / "blobs").iterdir())


def test_other_bytes_of_the_same_format_do_not_take_the_name(store: ModelStore, tmp_path: Path) -> None:
    first = store.import_path(write_folder(tmp_path / "one"), "tiny")

    assert store.import_path(tmp_path / "one", "tiny") == first
    with pytest.raises(NameTakenError):
        store.import_path(write_folder(tmp_path / "two", {"vocab_size": 31}), "tiny")


def test_another_model_does_not_join_a_name_in_another_format(store: ModelStore, tmp_path: Path) -> None:
    store.import_path(write_gguf(tmp_path / "tiny.gguf"), "tiny")

    with pytest.raises(NameTakenError):
        store.import_path(write_folder(tmp_path / "wide", {"hidden_size": 128, "head_dim": 16}), "tiny")
    assert len(store.list()) == 1


def test_only_known_files_come_along(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    for name in ("modeling_tiny.py", "pytorch_model.bin", "README.md", ".gitattributes", "training_args.bin"):
        (folder / name).write_bytes(b"x")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    model = store.import_path(folder, "tiny")

    names = {file.path for file in model.artifact.files}
    assert names == {
        "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"
    }  # fmt: skip
    assert (store.main_path(model.artifact.artifact_id) / "1_Pooling" / "config.json").read_text() == "{}"
    store.remove("tiny")
    assert not any((store.root / "artifacts").iterdir())


def test_a_pickled_checkpoint_is_refused(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(UnusableModelError, match="can run code when loaded"):
        store.import_path(folder, "tiny")


def test_a_folder_that_wants_to_run_code_is_refused_and_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny", {"auto_map": {"AutoModel": "modeling_tiny.Tiny"}})

    with pytest.raises(ModelFileError, match="run Python code that comes with the model"):
        store.import_path(folder, "tiny")
    assert store.list() == ()


def test_a_snapshot_of_a_hubs_cache_is_taken_in_through_its_links(store: ModelStore, tmp_path: Path) -> None:
    original = write_folder(tmp_path / "original")
    repository = tmp_path / "models--org--tiny"
    snapshot = repository / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, file in enumerate(sorted(original.iterdir())):
        blob = repository / "blobs" / f"{number}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")

    assert store.import_path(snapshot, "tiny").artifact.files == store.import_path(original, "tiny").artifact.files


def test_a_link_out_of_a_folder_is_refused(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    outside = tmp_path / "secret.json"
    outside.write_text("{}")
    (folder / "extra.json").symlink_to(outside)

    with pytest.raises(UnusableModelError, match="leads out of this directory"):
        store.import_path(folder, "tiny")


def test_verify_finds_a_changed_setting(store: ModelStore, tmp_path: Path) -> None:
    model = store.import_path(write_folder(tmp_path / "tiny"), "tiny")
    config = store.main_path(model.artifact.artifact_id) / "config.json"
    config.resolve().chmod(0o600)
    config.resolve().write_text(json.dumps({"model_type": "llama"}))

    with pytest.raises(DamagedModelError) as caught:
        store.verify("tiny")
    assert caught.value.file == "config.json"


def test_a_file_that_is_no_part_of_a_model_is_refused_whoever_sends_it(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "modeling_tiny.py").write_text("print('hello')")
    names = ("model.safetensors", "config.json", "modeling_tiny.py")

    with pytest.raises(ModelFileError, match=r"modeling_tiny\.py is no part of a model folder"):
        store.admit([Incoming(folder / name, name) for name in names], Origin("node:mac"), "tiny")


@pytest.mark.parametrize("name", ["../config.json", "/etc/x.json", "a//b.json", "a\\b.json", "", "x\n.json"])
def test_names_that_would_leave_the_artifact_are_refused(store: ModelStore, tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "tiny")
    files = [Incoming(folder / "model.safetensors", "model.safetensors"), Incoming(folder / "config.json", name)]

    with pytest.raises(UnusableModelError, match="no plain relative path"):
        store.admit(files, Origin("node:mac"), "tiny")


def test_a_spec_of_another_reader_version_is_read_again_from_the_folder(store: ModelStore, tmp_path: Path) -> None:
    model = store.import_path(write_folder(tmp_path / "tiny"), "tiny")
    path = store.root / "manifests" / f"{model.artifact.artifact_id}.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "spec_version": 0}))

    assert store.get("tiny") == model
    assert json.loads(path.read_text())["spec_version"] != 0
