"""Pulling a whole repository (safetensors or MLX) from a hub: settings first, weights after, nothing that is code."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from inventory.acquire import acquire
from inventory.hub import HubOptions
from inventory.hub_choice import HubChoiceError
from inventory.incoming import HashMismatchError
from inventory.model_error import ModelFileError
from inventory.sources import HubSource, parse_source
from inventory.store import ModelStore, NameTakenError
from support.folder_files import write_folder, write_sharded
from support.gguf_files import write_gguf
from support.hub_server import COMMIT, Hub, serving
from support.manual_clock import ManualClock

SOURCE = HubSource("org/repo")
SETTINGS = (".json", ".jinja", ".txt", ".md", ".py")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", ManualClock())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def hub_of(files: Mapping[str, bytes], cuts: list[int | None] | None = None) -> Hub:
    return Hub(files, cuts=cuts or [], small=SETTINGS)


def options(hub: Hub) -> HubOptions:
    return HubOptions(hub.endpoint, attempts=3, retry_wait_s=0.0, timeout_s=10.0)


def test_a_repository_is_fetched_whole_and_pinned_to_its_commit(store: ModelStore, tmp_path: Path) -> None:
    files = contents(write_sharded(tmp_path / "tiny", 2))
    others = {"README.md": b"x", "modeling_tiny.py": b"x", "pytorch_model.bin": b"x", "onnx/model.onnx": b"x"}
    with serving(hub_of({**files, **others})) as hub:
        model = acquire(store, SOURCE, "tiny", True, hub=options(hub))
        assert set(hub.fetched()) == set(files)
        assert hub.fetched()[-1].endswith(".safetensors")
        assert acquire(store, SOURCE, "tiny", allow_network=False) == model

    opened = store.main_path(model.artifact.artifact_id)
    assert contents(opened) == files
    assert (model.artifact.source, model.artifact.revision) == ("hf:org/repo", COMMIT)
    assert model.artifact.format == "safetensors"
    assert not [path for path in store.downloads.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_an_mlx_repository_goes_under_the_name_beside_the_gguf(store: ModelStore, tmp_path: Path) -> None:
    store.import_path(write_gguf(tmp_path / "tiny.gguf"), "tiny")
    with serving(hub_of(contents(write_folder(tmp_path / "tiny", written_as="mlx")))) as hub:
        acquire(store, SOURCE, "tiny", True, hub=options(hub))

    assert [model.artifact.format for model in store.artifacts("tiny")] == ["gguf", "mlx"]


def test_a_cut_connection_is_taken_up_inside_a_file_of_weights(store: ModelStore, tmp_path: Path) -> None:
    files = contents(write_folder(tmp_path / "tiny"))
    with serving(hub_of(files, cuts=[None, None, None, 1000])) as hub:
        model = acquire(store, SOURCE, "tiny", True, hub=options(hub))

    assert hub.downloads() == [None, None, None, None, "bytes=1000-"]
    assert store.verify("tiny") == (model,)


def test_a_repository_that_wants_to_run_code_is_refused_before_its_weights_are_fetched(
    store: ModelStore, tmp_path: Path
) -> None:
    files = contents(write_folder(tmp_path / "tiny", {"auto_map": {"AutoModel": "modeling_tiny.Tiny"}}))
    with (
        serving(hub_of(files)) as hub,
        pytest.raises(ModelFileError, match=r"hf:org/repo/config\.json.*auto_map asks the engine to run Python code"),
    ):
        acquire(store, SOURCE, "tiny", True, hub=options(hub))

    assert not any(name.endswith(".safetensors") for name in hub.fetched())


def test_a_repository_of_pickles_is_refused(store: ModelStore, tmp_path: Path) -> None:
    files = contents(write_folder(tmp_path / "tiny"))
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    with serving(hub_of(files)) as hub, pytest.raises(HubChoiceError, match=r"pickled \(pytorch_model\.bin\)"):
        acquire(store, SOURCE, "tiny", True, hub=options(hub))

    assert hub.fetched() == []


def test_weights_that_are_not_the_listed_ones_are_thrown_away(store: ModelStore, tmp_path: Path) -> None:
    hub = hub_of(contents(write_folder(tmp_path / "tiny")))
    hub.listed_sha256["model.safetensors"] = "0" * 64
    with serving(hub), pytest.raises(HashMismatchError):
        acquire(store, SOURCE, "tiny", True, hub=options(hub))

    assert store.list() == ()


def test_a_repository_with_gguf_files_is_taken_as_a_folder_where_that_is_asked(
    store: ModelStore, tmp_path: Path
) -> None:
    files = contents(write_folder(tmp_path / "tiny")) | {"tiny-Q8.gguf": write_gguf(tmp_path / "t.gguf").read_bytes()}
    with serving(hub_of(files)) as hub:
        gguf = acquire(store, SOURCE, "one", True, hub=options(hub))
        folder = acquire(store, parse_source("hf:org/repo:safetensors"), "two", True, hub=options(hub))

    assert (gguf.artifact.format, folder.artifact.format) == ("gguf", "safetensors")


def test_pulling_what_is_here_under_another_source_fetches_no_weights_again(store: ModelStore, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    model = store.import_path(folder, "tiny")
    with serving(hub_of(contents(folder))) as hub:
        assert acquire(store, SOURCE, "tiny", True, hub=options(hub)) == model

    assert "model.safetensors" not in hub.fetched()


def test_other_weights_do_not_take_the_name(store: ModelStore, tmp_path: Path) -> None:
    store.import_path(write_folder(tmp_path / "one", {"vocab_size": 30}), "tiny")
    files = contents(write_folder(tmp_path / "two", {"vocab_size": 3}))
    with serving(hub_of(files)) as hub, pytest.raises(NameTakenError):
        acquire(store, SOURCE, "tiny", True, hub=options(hub))
