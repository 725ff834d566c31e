"""The longest prompt that a model takes is read in peace: silence of an engine at work is no reason to eject it."""

from pathlib import Path

import pytest
from openai import OpenAI

from support.machine import Machine

pytestmark = pytest.mark.e2e

CONFIG = """\
version: 1
models:
  smollm2: {source: "packaged:smollm2", engine: llamacpp, context: 8k, slots: 1}
"""
TRAINED_TOKENS = 8192


def generations(machine: Machine) -> list[tuple[str, int]]:
    document = machine.status()["cluster"]
    assert isinstance(document, dict)
    return [
        (engine["engine_id"], engine["generation"])
        for node in document["nodes"]
        for engine in node["snapshot"]["engines"]
    ]


def test_the_longest_prompt_that_the_model_takes_is_answered_by_the_engine_it_went_to(machine: Machine) -> None:
    config: Path = machine.state_dir.parent / "long.yaml"
    config.write_text(CONFIG)
    running = machine.up("--config", str(config))
    before = generations(machine)
    with OpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0, timeout=600) as client:
        words = " ".join(f"{number:04d}" for number in range(1600))  # a digit is a token, and so is a space before it
        answer = client.completions.create(model="smollm2", prompt=words, max_tokens=8, stream=True, temperature=0)
        ended = [chunk.choices[0].finish_reason for chunk in answer if chunk.choices][-1]
        usage = client.completions.create(model="smollm2", prompt=words, max_tokens=1).usage

    assert ended == "length"
    assert usage is not None and TRAINED_TOKENS * 0.9 < usage.prompt_tokens < TRAINED_TOKENS
    assert generations(machine) == before
    assert "ejected" not in (machine.state_dir / "logs" / "gateway.log").read_text()
