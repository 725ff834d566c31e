"""LangChain: the program that `potluck connect langchain` prints, an agent's turn, and its standard tests."""

from pathlib import Path

import pytest

from support.client_models import RealModel, ScriptedModel
from support.clients import PYTHON_CLIENTS, ROOT, Home
from support.engines import running_fault_engine
from support.gateway import KEY, MODEL, running_gateway, served_by
from support.leaks import CANARY
from support.machine import POTLUCK

pytestmark = pytest.mark.e2e

PYTHON = PYTHON_CLIENTS / "python"
STANDARD = ROOT / "tests" / "clients" / "langchain_standard.py"
EMBEDDINGS = ROOT / "tests" / "clients" / "langchain_embeddings.py"
AGENT = f"""
import os
from pathlib import Path

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def write_note(text: str) -> str:
    "Write the note."
    Path("note.txt").write_text(text)
    return "written"

model = ChatOpenAI(model="toy", base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
model = model.bind_tools([write_note])
said = [("user", "Write new words for {CANARY}.")]
while (answer := model.invoke(said)).tool_calls:
    said += [answer, *(write_note.invoke(call) for call in answer.tool_calls)]
print(answer.content)
"""


async def test_the_program_that_is_printed_gets_a_real_answer(real_model: RealModel, home: Home) -> None:
    state_dir = str(real_model.machine.state_dir)
    printed = await home.run(POTLUCK, "connect", "langchain", "--show-key", POTLUCK_STATE_DIR=state_dir)
    assert printed.status == 0, printed

    done = await home.run(PYTHON, "-c", printed.out)

    assert done.status == 0, done
    assert done.out.strip()
    outcome, tokens = real_model.last("chat")
    assert outcome == "ok" and tokens > 0


async def test_a_tool_call_of_the_model_changes_a_file(scripted_model: ScriptedModel, home: Home) -> None:
    scripted_model.will(
        {"content": "I write.", "tool_calls": [("write_note", {"text": "new words\n"})]},
        {"content": "It says new."},
    )

    done = await home.run(PYTHON, "-c", AGENT, **_variables(scripted_model))

    assert done.status == 0, done
    assert done.out == "It says new.\n"
    assert (home.work / "note.txt").read_text() == "new words\n"
    assert await scripted_model.answered() == [("chat", 200)] * 2


async def test_the_standard_tests_of_a_chat_model_pass(scripted_model: ScriptedModel, home: Home) -> None:
    """Those of what the model can do: it hears and sees nothing. The one that measures time needs another plugin."""
    loop = [word for kind in ("test", "fixture") for word in ("-o", f"asyncio_default_{kind}_loop_scope=session")]

    done = await home.run(
        PYTHON, "-m", "pytest", "-q", "-c", "/dev/null", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist",
        "-o", "asyncio_mode=auto", *loop, "-k", "not test_stream_time", str(STANDARD), **_variables(scripted_model),
    )  # fmt: skip

    assert done.status == 0, done.out + done.err
    assert "39 passed, 10 skipped" in done.out, done.out


async def test_the_standard_tests_of_embeddings_pass(tmp_path: Path, home: Home) -> None:
    with running_fault_engine(tmp_path / "engine", "llamacpp", "--only-reads") as engine:
        async with running_gateway(tmp_path, [served_by(engine)], abilities={MODEL: frozenset({"embed"})}) as running:
            done = await home.run(
                PYTHON, "-m", "pytest", "-q", "-c", "/dev/null", "--noconftest", "-p", "no:cacheprovider",
                "-p", "no:xdist", "-o", "asyncio_mode=auto", str(EMBEDDINGS),
                BASE_URL=f"{running.base_url}/v1", API_KEY=KEY,
            )  # fmt: skip
            asked = {(record.api, record.status) for record in running.finished()}

    assert done.status == 0, done.out + done.err
    assert " passed" in done.out and "skipped" not in done.out, done.out
    assert asked == {("embeddings", 200)}


def _variables(model: ScriptedModel) -> dict[str, str]:
    return {"BASE_URL": f"{model.base_url}/v1", "API_KEY": model.key, "ENGINE_URL": model.engine.base_url}
