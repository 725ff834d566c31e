"""Finding the files of a model in what a person named."""

from pathlib import Path

import pytest

from inventory.model_files import UnusableModelError, find_model_files
from support.gguf_files import write_gguf, write_split


def test_a_directory_with_one_split_model_is_that_model(tmp_path: Path) -> None:
    parts = write_split(tmp_path, "big", 2)

    assert tuple(file.path for file in find_model_files(tmp_path)) == parts


def test_a_directory_with_two_models_asks_for_a_file(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf")
    write_gguf(tmp_path / "b.gguf")

    with pytest.raises(UnusableModelError, match=r"name the file \(a\.gguf, b\.gguf\)"):
        find_model_files(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    first, second = write_split(tmp_path, "big", 2)
    second.unlink()

    with pytest.raises(UnusableModelError, match=r"missing beside it: big-00002-of-00002\.gguf"):
        find_model_files(first)


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    outside = write_gguf(tmp_path / "outside.gguf")
    directory = tmp_path / "models"
    directory.mkdir()
    (directory / "inside.gguf").symlink_to(outside)

    with pytest.raises(UnusableModelError, match="leads out of this directory"):
        find_model_files(directory)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.safetensors", "which is a folder with config.json and .safetensors files"),
        ("pytorch_model.bin", "can run code when loaded"),
        ("notes.txt", "no model that potluck knows"),
    ],
)
def test_other_formats_are_refused_with_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_bytes(b"x")

    for path in (tmp_path / name, tmp_path):
        with pytest.raises(UnusableModelError, match=reason):
            find_model_files(path)


def test_a_path_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableModelError, match="no such file"):
        find_model_files(tmp_path / "gone.gguf")
