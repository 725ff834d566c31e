"""`llm`, with the files that `potluck connect llm --write` made."""

import pytest

from support.client_models import RealModel, ScriptedModel
from support.clients import PYTHON_CLIENTS, Home
from support.leaks import CANARY

pytestmark = pytest.mark.e2e

LLM = PYTHON_CLIENTS / "llm"
WRITER = """
from pathlib import Path

def write_note(text: str) -> str:
    "Write the note."
    Path("note.txt").write_text(text)
    return "written"
"""


async def test_it_gets_a_real_answer(real_model: RealModel, home: Home) -> None:
    endpoint = real_model.endpoint
    await home.connect("llm", endpoint.endpoint, endpoint.api_key)

    done = await home.run(LLM, "-m", "potluck/smollm2", "-o", "max_tokens", "16", f"Say hello to {CANARY}.")

    assert done.status == 0, done
    assert done.out.strip()
    outcome, tokens = real_model.last("chat")
    assert outcome == "ok" and 0 < tokens <= 16


async def test_a_tool_call_of_the_model_changes_a_file(scripted_model: ScriptedModel, home: Home) -> None:
    note = home.work / "note.txt"
    note.write_text("old words\n")
    await home.connect("llm", scripted_model.base_url, scripted_model.key)
    scripted_model.will(
        {"tool_calls": [("write_note", {"text": "new words\n"})]},
        {"content": "It says new."},
    )

    done = await home.run(LLM, "-m", "potluck/toy", "--functions", WRITER, f"Write new words for {CANARY}.")

    assert done.status == 0, done
    assert done.out == "It says new.\n"
    assert note.read_text() == "new words\n"
    assert await scripted_model.answered() == [("chat", 200)] * 2
