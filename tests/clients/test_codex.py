"""Codex, with the files that `potluck connect codex --write` made."""

import json
from pathlib import Path

import pytest

from support.client_models import RealModel, ScriptedModel
from support.clients import Home, codex
from support.leaks import CANARY

pytestmark = pytest.mark.e2e

ALONE = ("plugins", "apps")  # features that ask the vendor's servers
BARE = ("shell_tool", "multi_agent", "goals", "view_image")  # features that are tools and instructions
RAMBLED = "Incomplete response returned, reason: max_output_tokens"
TRIES = 6  # a small model that finds no end fills its context now and then, and Codex calls that a failure


def command(*more: str) -> tuple[str | Path, ...]:
    off = [word for name in ALONE for word in ("--disable", name)]
    settled = ("-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false")
    return (*codex(), "exec", "--skip-git-repo-check", "--json", *off, *settled, *more)


async def test_it_gets_a_real_answer(real_model: RealModel, home: Home) -> None:
    endpoint = real_model.endpoint
    await home.connect("codex", endpoint.endpoint, endpoint.api_key)
    instructions = home.root / "instructions.md"
    instructions.write_text("Be brief.")
    bare = [word for name in BARE for word in ("--disable", name)]

    question = (
        *command(*bare, "-c", f"model_instructions_file={json.dumps(str(instructions))}"),
        f"What is the capital of {CANARY}?",
    )
    done = await home.run(*question)
    for _ in range(TRIES - 1):
        if RAMBLED not in done.out:
            break
        done = await home.run(*question)

    assert done.status == 0, done
    assert said(done.out)[0]
    outcome, tokens = real_model.last("responses")
    assert (outcome, tokens > 0) == ("ok", True)


async def test_a_tool_call_of_the_model_changes_a_file(scripted_model: ScriptedModel, home: Home) -> None:
    note = home.work / "note.txt"
    note.write_text("old words\n")
    await home.connect("codex", scripted_model.base_url, scripted_model.key)
    scripted_model.will(
        {
            "reasoning": "A stream editor will do.",
            "tool_calls": [("exec_command", {"cmd": "sed -i.bak s/old/new/ note.txt"})],
        },
        {"content": "It says new."},
    )

    done = await home.run(*command("--sandbox", "danger-full-access"), f"Change old to new for {CANARY}.")

    assert done.status == 0, done
    assert said(done.out) == ["It says new."]
    assert note.read_text() == "new words\n"
    assert await scripted_model.answered() == [("responses", 200)] * 2


def said(events: str) -> list[str]:
    """What the model told its user."""
    items = [event["item"] for line in events.splitlines() if (event := json.loads(line))["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == "agent_message"]
