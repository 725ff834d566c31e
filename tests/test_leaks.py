"""The watch over what tests leave behind sees what is planted, and tells where and what kind, never what."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.leaks import CANARY, leaks_below

SUPPORT = Path(__file__).parent
API_KEY = "pl_0123456789_" + "Kq" * 21 + "x"
PLANTED = {
    "an API key": f'{{"event": "x", "reason": "{API_KEY}"}}',
    "an engine's secret": "started with ple_" + "Zr" * 21 + "x",
    "a join token": "pj1_" + "Ab" * 50,
    "a private key": "-----BEGIN PRIVATE KEY-----",
    "a bearer token": f"eyJ{'a' * 30}.eyJ{'b' * 30}.{'c' * 86}",
    "a prompt": f"slot 0: refused: tell me of {CANARY}!",
}
RUN = """
from pathlib import Path
def test_writes_a_log(tmp_path: Path) -> None:
    (tmp_path / "gateway.log").write_text({planted!r})
def test_writes_none() -> None:
    pass
"""


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Outside what the watch over this very run looks through."""
    with TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_in_a_log_or_a_database_is_found(elsewhere: Path, kind: str) -> None:
    (elsewhere / "popen-gw1" / "test_of_a_head0" / "state" / "logs").mkdir(parents=True)
    log = elsewhere / "popen-gw1" / "test_of_a_head0" / "state" / "logs" / "engine.log"
    database = elsewhere / "test_of_another0" / "telemetry.db-wal"
    database.parent.mkdir()
    for file in (log, database):
        file.write_bytes(b"\x00\xff before\n" + PLANTED[kind].encode() + b"\n after\x00")

    assert [(leak.file, leak.kind) for leak in leaks_below(elsewhere)] == [(log, kind), (database, kind)]


def test_a_secret_files_content_is_found_wherever_else_it_stands(elsewhere: Path) -> None:
    state = elsewhere / "test_of_a_head0"
    (state / "secrets").mkdir(parents=True)
    (state / "secrets" / "pepper").write_text("a-pepper-without-any-mark\n")
    (state / "snapshot.json").write_text('{"pepper": "a-pepper-without-any-mark"}')

    assert [str(leak) for leak in leaks_below(elsewhere)] == [
        f"{state / 'snapshot.json'}: the content of a secret file"
    ]


def test_the_files_that_are_for_secrets_may_hold_them(elsewhere: Path) -> None:
    state = elsewhere / "test_of_a_head0"
    (state / "secrets").mkdir(parents=True)
    (state / "identity").mkdir()
    (state / "batch-files").mkdir()
    (state / "batch-files" / "file-1").write_text(PLANTED["a prompt"])
    (state / "owner.key").write_text(API_KEY)
    (state / "secrets" / "engine-toy-1").write_text(PLANTED["an engine's secret"])
    (state / "identity" / "node.key").write_text(PLANTED["a private key"])

    assert leaks_below(elsewhere) == []


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("planted", "status"), [("nothing to see", 0), (PLANTED["an API key"], 1)])
def test_a_leak_fails_the_run_though_every_test_passed(
    elsewhere: Path, workers: str, planted: str, status: int
) -> None:
    (elsewhere / "conftest.py").write_text((SUPPORT / "conftest.py").read_text())
    (elsewhere / "test_it.py").write_text(RUN.format(planted=planted))
    words = ["-m", "pytest", "-q", "-n", workers, "--basetemp", str(elsewhere / "run")]
    words += ["-p", "no:cacheprovider", "-p", "no:schemathesis"]
    done = subprocess.run(
        [sys.executable, *words, "test_it.py"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == status, done.stdout
    assert ("gateway.log: an API key" in done.stdout) == bool(status)
    assert API_KEY not in done.stdout
