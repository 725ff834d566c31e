"""What `potluck conformance` prints, at the widths that terminals have, and how it ends."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.conformance.dialects import CHAT
from cli.conformance.registry import CHECKS, NoSuchCheckError, chosen
from cli.conformance.rendering import report_document, report_text
from cli.conformance.running import Report
from cli.conformance.server import Facts
from cli.conformance.verdicts import Check, Result, Seen, Verdict
from cli.errors import exit_code_of
from cli.main import app
from support.able_engine import CONTEXT, able_engine
from support.gateway import KEY, engine_at, running_gateway
from support.spoiling_proxy import spoiling_proxy
from support.spoils import SPOILS
from support.upstream import scripted_upstream

FACTS = Facts("smollm2", 2048, "smollm2", "smollm2", (CHAT,))
AT_80 = """\
http://127.0.0.1:8400/v1  model smollm2  speaks chat

models
pass     models-list       1 listed
untried  key-filter        --second-key-file names a key that may use fewer
                           models

errors
FAIL     context-overflow  400, but the code is None
         right: A prompt longer than the context is a 400
                `context_length_exceeded`.
         why:   Agents shorten their history when they read this code, and give
                up at any other.

embeddings
absent   rerank-order      404 at /v1/rerank

1 passed, 1 failed, 1 not offered, 1 not tried of 4, in 3 s"""
AT_120 = """\
http://127.0.0.1:8400/v1  model smollm2  speaks chat

models
pass     models-list       1 listed
untried  key-filter        --second-key-file names a key that may use fewer models

errors
FAIL     context-overflow  400, but the code is None
         right: A prompt longer than the context is a 400 `context_length_exceeded`.
         why:   Agents shorten their history when they read this code, and give up at any other.

embeddings
absent   rerank-order      404 at /v1/rerank

1 passed, 1 failed, 1 not offered, 1 not tried of 4, in 3 s"""


def named(name: str) -> Check:
    return next(check for check in CHECKS if check.name == name)


def result(name: str, verdict: Verdict, evidence: str) -> Result:
    return Result(named(name), Seen(verdict, evidence), 0.25)


REPORT = Report(
    "http://127.0.0.1:8400/v1",
    FACTS,
    (
        result("models-list", "pass", "1 listed"),
        result("key-filter", "not tried", "--second-key-file names a key that may use fewer models"),
        result("context-overflow", "fail", "400, but the code is None"),
        result("rerank-order", "not offered", "404 at /v1/rerank"),
    ),
    3.2,
)


@pytest.mark.parametrize(("width", "text"), [(80, AT_80), (120, AT_120)])
def test_the_table_fits_the_terminal_and_cuts_no_word(width: int, text: str) -> None:
    assert report_text(REPORT, width) == text


def test_what_a_server_said_cannot_move_the_cursor() -> None:
    hostile = Report("http://x", FACTS, (result("models-list", "fail", "\x1b[2Jgone"),), 1.0)

    assert "\\x1b[2Jgone" in report_text(hostile, 80)


def test_the_document_says_what_is_right_and_why_it_matters() -> None:
    document = json.loads(json.dumps(report_document(REPORT)))

    assert document["counts"] == {"pass": 1, "fail": 1, "not offered": 1, "not tried": 1}
    failed = document["checks"][2]
    assert failed["name"] == "context-overflow"
    assert (failed["verdict"], failed["seen"]) == ("fail", "400, but the code is None")
    assert failed["advice"] == named("context-overflow").advice


def test_checks_are_chosen_by_name_or_by_subject() -> None:
    assert [check.name for check in chosen(("cors",))] == ["cors"]
    assert {check.subject for check in chosen(("http", "usage"))} == {"http", "usage"}
    assert chosen(()) == CHECKS
    with pytest.raises(NoSuchCheckError, match="no check is called corse; there are: models-list") as raised:
        chosen(("corse",))
    assert exit_code_of(raised.value) == 2


def test_names_of_checks_and_of_subjects_are_not_mixed_up() -> None:
    assert not {check.name for check in CHECKS} & {check.subject for check in CHECKS}


@pytest.mark.parametrize(
    ("spoiled", "key", "words", "code"),
    [
        (None, KEY, ("--only", "cors"), 0),
        ("cors", KEY, ("--only", "cors"), 3),
        (None, KEY, ("--only", "corse"), 2),
        (None, KEY, ("--only", "cors", "--model", "nothing-of-that-name"), 4),
        (None, None, ("--only", "cors"), 5),
    ],
)
async def test_the_exit_code_tells_how_it_went(
    spoiled: str | None, key: str | None, words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    command = [*words, "--json"]
    if key:
        (tmp_path / "key").touch(mode=0o600)
        (tmp_path / "key").write_text(key)
        command += ["--key-file", str(tmp_path / "key")]
    async with scripted_upstream(able_engine()) as upstream:
        engine = engine_at(upstream.address, context_tokens=CONTEXT)
        async with running_gateway(tmp_path, [engine]) as running:
            spoil = SPOILS[spoiled] if spoiled else lambda _: None
            async with spoiling_proxy(running.address, spoil) as address:
                url = f"http://{address.host}:{address.port}/v1"
                done = await asyncio.to_thread(CliRunner().invoke, app, ["conformance", url, *command])
    (tmp_path / "key").unlink(missing_ok=True)

    if isinstance(done.exception, SystemExit) or done.exception is None:
        assert done.exit_code == code
        assert json.loads(done.stdout)["kind"] == "ConformanceReport"
    else:
        assert isinstance(done.exception, Exception)
        assert exit_code_of(done.exception) == code


def test_nobody_there_is_exit_code_6() -> None:
    done = CliRunner().invoke(app, ["conformance", "http://127.0.0.1:9/v1"])

    assert isinstance(done.exception, Exception)
    assert exit_code_of(done.exception) == 6
