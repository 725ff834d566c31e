"""The longest prompt that a model takes is read in peace: silence of an engine at work is no reason to eject it.

A short context and a gateway that is soon impatient stand for a long one: `POTLUCK_LONG_PROMPT=8192` is all that the
model was trained for.
"""

import os
from pathlib import Path
from time import monotonic

import pytest
from openai import OpenAI

from support.machine import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

TAKEN_TOKENS = int(os.environ.get("POTLUCK_LONG_PROMPT", "4096"))
IDLE_S = 4.0
CONFIG = f"""\
version: 1
gateway: {{timeouts: {{idle: {IDLE_S:g}s}}}}
models:
  smollm2: {{source: "packaged:smollm2", engine: llamacpp, context: {TAKEN_TOKENS}, slots: 1}}
"""


def generations(machine: Machine) -> list[tuple[str, int]]:
    return [(engine["engine_id"], engine["generation"]) for engine in machine.engines()]


def test_the_longest_prompt_that_the_model_takes_is_answered_by_the_engine_it_went_to(machine: Machine) -> None:
    config: Path = machine.state_dir.parent / "long.yaml"
    config.write_text(CONFIG)
    running = machine.up("--config", str(config))
    before = generations(machine)
    with OpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0, timeout=600) as client:
        numbers = range(TAKEN_TOKENS * 25 // 128)
        words = " ".join(f"{number:04d}" for number in numbers)  # a digit is a token, and so is a space before it
        asked_s = monotonic()
        answer = client.completions.create(model="smollm2", prompt=words, max_tokens=8, stream=True, temperature=0)
        first = next(iter(answer))
        silent_s = monotonic() - asked_s
        ended = [chunk.choices[0].finish_reason for chunk in (first, *answer) if chunk.choices][-1]
        usage = client.completions.create(model="smollm2", prompt=words, max_tokens=1).usage

    print(f"RESULT long-prompt silent_s={silent_s:.1f} idle_s={IDLE_S:g}")
    assert ended == "length"
    assert usage is not None and TAKEN_TOKENS * 0.9 < usage.prompt_tokens < TAKEN_TOKENS
    assert generations(machine) == before
    assert "ejected" not in (machine.state_dir / "logs" / "gateway.log").read_text()
