"""What reaches a log: known fields, bounded, without a character that a terminal would obey."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.logs import FIELDS, LEFT_OUT, TEXT_LIMIT, only_known, told

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "emit"}
SERVICE = """
import logging, structlog
from cli.process import configure_logs
configure_logs("gateway")
logging.getLogger("some.library").error("refused %s", {said!r})
try:
    raise ValueError({said!r})
except ValueError:
    logging.getLogger("some.library").exception("Task exception was never retrieved\\nfuture: " + {said!r})
structlog.get_logger("potluck.x").info("peer_refused", reason={said!r}, prompt={said!r}, body={{"prompt": {said!r}}})
"""


def lines_of(said: str) -> tuple[str, list[dict[str, object]]]:
    """What a service process writes that logs `said` in every way."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE.format(said=said)], cwd=ROOT, capture_output=True, check=True, encoding="utf-8"
    )
    return done.stderr, [json.loads(line) for line in done.stderr.split("\n") if line]


@pytest.mark.parametrize("said", ["a\r\nGET /forged", "\x1b[2J\x07", "\u202egnp.exe", "\u2028\u2029\x85", "a\x00b\x7f"])
def test_no_control_character_of_a_value_is_written(said: str) -> None:
    written, lines = lines_of(said)

    assert len(lines) == 3
    assert written.isascii()
    assert all(character.isprintable() or character == "\n" for character in written)
    assert lines[2]["reason"] == said.replace("\x7f", "\\x7f")


def test_a_field_that_is_not_in_the_list_is_left_out_and_told_by_name() -> None:
    written, lines = lines_of("the secret words")

    assert lines[2]["event"] == "peer_refused"
    assert lines[2][LEFT_OUT] == ["body", "prompt"]
    assert written.count("the secret words") == 2  # what the library said of its own will, and `reason`


def test_of_a_librarys_exception_only_its_kind_and_place_are_told() -> None:
    _, (said, raised, _) = lines_of("the secret words")

    assert (said["event"], said["library"], said["level"]) == ("library_warns", "some.library", "error")
    assert raised["detail"] == "Task exception was never retrieved"
    assert str(raised["error"]).startswith("ValueError at ")
    assert "secret" not in str(raised)


def test_values_are_bounded_and_what_is_no_plain_value_is_told_by_its_kind() -> None:
    class Body:
        def __repr__(self) -> str:
            return "a prompt"

    event = only_known(None, "info", {"reason": "x" * 10_000, "engines": ("a", Body()), "error": Body(), "pid": 3})

    assert len(event["reason"]) == TEXT_LIMIT + 1
    assert (event["engines"], event["error"], event["pid"]) == (["a", "<Body>"], "<Body>", 3)


def test_an_exception_is_told_without_what_it_quotes() -> None:
    try:
        int("my prompt")
    except ValueError as error:
        said = told(error)

    assert said.startswith("ValueError at inventory/test_logs.py:")
    assert told(KeyError("never raised")) == "KeyError"


def test_every_event_of_ours_has_a_fixed_name_and_only_known_fields() -> None:
    found, wrong = 0, []
    for room in ("cli", "router", "rag", "cluster", "nodes", "inventory"):
        for path in (ROOT / room).rglob("*.py"):
            for call in filter(_logs, ast.walk(ast.parse(path.read_text()))):
                assert isinstance(call, ast.Call)
                found += 1
                unknown = {word.arg for word in call.keywords if word.arg} - FIELDS - {"exc_info"}
                fixed = isinstance(call.args[0], ast.Constant | ast.Name) if call.args else False
                if unknown or not fixed:
                    wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: {sorted(unknown) or 'its event is made up'}")

    assert wrong == []
    assert found > 50


def _logs(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
        return False
    owner = ast.unparse(node.func.value)
    return owner.rpartition(".")[2] in {"log", "_log", "_logger"} or "get_logger(" in owner
