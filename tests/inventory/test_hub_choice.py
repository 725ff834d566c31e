"""Choosing the files of one model from a repository's listing."""

import pytest

from inventory.hub_choice import HubChoiceError, HubFile, choose_files
from inventory.sources import HubSource

LISTING = tuple(
    HubFile(path, 2 << 30, "0" * 64)
    for path in (
        "README.md",
        "m-Q4_K.gguf",
        "m-Q4_K_M.gguf",
        "mmproj-m-f16.gguf",
        "Q8_0/m-Q8_0-00002-of-00002.gguf",
        "Q8_0/m-Q8_0-00001-of-00002.gguf",
        "broken-00001-of-00002.gguf",
    )
)


def chosen(**choice: str) -> list[str]:
    return [file.path for file in choose_files(HubSource("org/repo", **choice), LISTING)]


def test_a_file_brings_all_its_parts_in_order() -> None:
    both = ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"]

    assert chosen(file="Q8_0/m-Q8_0-00002-of-00002.gguf") == both == chosen(quantisation="q8_0")


def test_a_quantisation_matches_as_a_whole_word() -> None:
    assert chosen(quantisation="Q4_K") == ["m-Q4_K.gguf"]
    assert chosen(quantisation="Q4_K_M") == ["m-Q4_K_M.gguf"]


@pytest.mark.parametrize("choice", [{}, {"quantisation": "Q2_K"}, {"file": "gone.gguf"}])
def test_an_open_choice_is_put_to_the_operator(choice: dict[str, str]) -> None:
    with pytest.raises(HubChoiceError) as caught:
        chosen(**choice)

    assert "hf:org/repo/m-Q4_K.gguf  (2.0 GiB)" in caught.value.choices
    assert len(caught.value.choices) == 3


def test_a_repository_with_one_model_needs_no_choice() -> None:
    assert choose_files(HubSource("org/repo"), LISTING[:2]) == LISTING[1:2]


def test_a_part_without_its_others_is_no_model() -> None:
    with pytest.raises(HubChoiceError, match="no complete model"):
        chosen(file="broken-00001-of-00002.gguf")
