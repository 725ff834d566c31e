"""Claude Code, with the settings that `potluck connect claude --write` made."""

import json
from pathlib import Path

import pytest

from support.client_models import CONTEXT_TOKENS, RealModel, ScriptedModel
from support.clients import Home, claude
from support.leaks import CANARY

pytestmark = pytest.mark.e2e


async def test_it_gets_a_real_answer(real_model: RealModel, home: Home) -> None:
    endpoint = real_model.endpoint
    await home.connect("claude", endpoint.endpoint, endpoint.api_key)
    _limit_answers(home.root / ".claude" / "settings.json", tokens=16)

    done = await home.run(
        *claude(), "-p", f"What is the capital of {CANARY}?", "--output-format", "stream-json", "--verbose",
        "--system-prompt", "Be brief.", "--tools", "",
    )  # fmt: skip

    told = [json.loads(line) for line in done.out.splitlines()]
    said = [one["message"] for one in told if one["type"] == "assistant"]
    words = [block for message in said if message["model"] == "smollm2" for block in message["content"]]
    assert words[0]["text"], done
    assert told[-1]["modelUsage"]["smollm2"]["contextWindow"] == CONTEXT_TOKENS
    outcome, tokens = real_model.last("messages")
    assert outcome == "ok" and 0 < tokens <= 16


async def test_a_tool_call_of_the_model_changes_a_file(scripted_model: ScriptedModel, home: Home) -> None:
    note = home.work / "note.txt"
    note.write_text("old words\n")
    await home.connect("claude", scripted_model.base_url, scripted_model.key)
    edit = {"file_path": str(note), "old_string": "old words", "new_string": "new words"}
    scripted_model.will(
        {"reasoning": "Let me look first.", "tool_calls": [("Read", {"file_path": str(note)})]},
        {"content": "It says old.", "tool_calls": [("Edit", edit)]},
        {"content": "It says new."},
    )

    done = await home.run(
        *claude(), "-p", f"Change old to new for {CANARY}.", "--output-format", "json", "--allowedTools", "Read,Edit"
    )

    assert done.status == 0, done
    assert json.loads(done.out)["result"] == "It says new."
    assert note.read_text() == "new words\n"
    assert await scripted_model.answered() == [("messages", 200)] * 3


def _limit_answers(settings_file: Path, tokens: int) -> None:
    """Its settings count for more than its environment."""
    settings = json.loads(settings_file.read_text())
    settings["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(tokens)
    settings_file.write_text(json.dumps(settings))
