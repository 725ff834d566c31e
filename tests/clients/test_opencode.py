"""opencode, with the files that `potluck connect opencode --write` made."""

import json
from pathlib import Path

import pytest

from support.client_models import RealModel, ScriptedModel
from support.clients import Home, has_opencode, opencode
from support.leaks import CANARY

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not has_opencode(), reason="the lock holds opencode for Linux on x86-64 only"),
]

OFFLINE = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "npm_config_offline": "true",  # it would install its plugin kit beside its configuration
}


async def test_it_gets_a_real_answer(real_model: RealModel, home: Home) -> None:
    endpoint = real_model.endpoint
    await home.connect("opencode", endpoint.endpoint, endpoint.api_key)
    _make_terse(home.root / ".config" / "opencode" / "opencode.json", tokens=16)

    done = await home.run(
        *opencode(), "run", "--title", "places", "--agent", "terse", f"What is the capital of {CANARY}?", **OFFLINE
    )

    assert done.status == 0, done
    assert done.out.strip()
    outcome, tokens = real_model.last("chat")
    assert outcome == "ok" and 0 < tokens <= 16


async def test_a_tool_call_of_the_model_changes_a_file(scripted_model: ScriptedModel, home: Home) -> None:
    note = home.work / "note.txt"
    note.write_text("old words\n")
    await home.connect("opencode", scripted_model.base_url, scripted_model.key)
    edit = {"filePath": str(note), "oldString": "old words", "newString": "new words"}
    scripted_model.will(
        {"reasoning": "Let me look first.", "tool_calls": [("read", {"filePath": str(note)})]},
        {"content": "It says old.", "tool_calls": [("edit", edit)]},
        {"content": "It says new."},
    )

    done = await home.run(*opencode(), "run", "--title", "notes", f"Change old to new for {CANARY}.", **OFFLINE)

    assert done.status == 0, done
    assert done.out.endswith("It says new.\n")
    assert note.read_text() == "new words\n"
    assert await scripted_model.answered() == [("chat", 200)] * 3


async def test_the_title_that_it_asks_for_by_itself_is_known(scripted_model: ScriptedModel, home: Home) -> None:
    await home.connect("opencode", scripted_model.base_url, scripted_model.key)
    scripted_model.will({"content": "Words."}, {"content": "Words."})

    done = await home.run(*opencode(), "run", f"What is {CANARY}?", **OFFLINE)

    assert done.status == 0, done
    assert await scripted_model.answered() == [("chat", 200)] * 2
    asked = [(record.side_call, record.route_reason) for record in scripted_model.gateway.finished()]
    assert sorted(asked, key=str) == [("title", "side_call"), (None, "only_fit")]


def _make_terse(config_file: Path, tokens: int) -> None:
    """An agent without tools, whose instructions a small model has room for, and short answers."""
    config = json.loads(config_file.read_text())
    config["agent"] = {"terse": {"mode": "primary", "prompt": "Be brief.", "tools": {"*": False}}}
    config["provider"]["potluck"]["models"]["smollm2"]["limit"]["output"] = tokens
    config_file.write_text(json.dumps(config))
