"""The real ollama client against the real engine: what its models are, and the seconds that it tells of itself."""

import json
from collections.abc import Iterator

import ollama
import pytest

from support.leaks import CANARY
from support.machine import Running, eventually

pytestmark = pytest.mark.e2e

QUESTION = [{"role": "user", "content": f"Say hello to {CANARY}."}]
SHORT = {"temperature": 0, "num_predict": 8, "seed": 1}


@pytest.fixture
def client(running: Running) -> Iterator[ollama.Client]:
    headers = {"authorization": f"Bearer {running.api_key}"}
    with ollama.Client(host=running.root, headers=headers, trust_env=False) as client:
        yield client


def test_the_model_is_listed_shown_and_running(client: ollama.Client) -> None:
    eventually(lambda: any(one.size for one in client.ps().models), 30, "its memory is measured")
    (listed,), (resident,) = client.list().models, client.ps().models
    shown = client.show("smollm2")

    assert listed.model == resident.model == "smollm2:latest"
    assert listed.details is not None
    assert (listed.details.family, listed.details.quantization_level) == ("llama", "Q4_1")
    assert listed.size is not None and 90_000_000 < listed.size < 110_000_000
    assert resident.size is not None and resident.size > 50_000_000
    assert shown.modelinfo is not None and shown.modelinfo["llama.context_length"] == 2048
    assert shown.capabilities is not None and "completion" in shown.capabilities


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_is_the_same_whole_or_streamed_with_the_engines_own_times(
    client: ollama.Client, streamed: bool
) -> None:
    if streamed:
        *parts, answer = client.chat("smollm2", QUESTION, options=SHORT, stream=True)
        text = "".join(part.message.content or "" for part in parts)
        assert [part.eval_count for part in parts] == [None] * len(parts)
    else:
        answer = client.chat("smollm2", QUESTION, options=SHORT)
        text = answer.message.content or ""

    assert text
    assert answer.done_reason in ("stop", "length")
    assert answer.eval_count is not None and 0 < answer.eval_count <= 8
    assert answer.prompt_eval_count is not None and answer.prompt_eval_count > 5
    assert answer.eval_duration is not None and 0 < answer.eval_duration < 60e9
    assert answer.prompt_eval_duration is not None
    assert answer.total_duration == answer.prompt_eval_duration + answer.eval_duration


def test_a_schema_is_kept_to_and_a_raw_prompt_is_gone_on_with(client: ollama.Client) -> None:
    schema = {"type": "object", "properties": {"big": {"type": "boolean"}}, "required": ["big"]}
    sized = client.generate(
        "smollm2", "Is the sun big? Answer in JSON.", format=schema, options=SHORT | {"num_predict": 24}
    )
    raw = client.generate("smollm2", "The capital of France is", raw=True, options=SHORT)

    assert json.loads(sized.response or "").keys() == {"big"}
    assert "Paris" in (raw.response or "")
