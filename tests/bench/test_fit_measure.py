"""A cell is measured from start to end with a real process that speaks an engine's wire."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.fit.cells import Cell
from bench.fit.engine import Bed, Subject, last_word
from bench.fit.measure import measure
from bench.fit.memory import PeakMeter, parse_files, parse_rollup, session_of, usage_of
from bench.fit.prompts import Ruler
from inventory.paths import StatePaths
from nodes.engine_envs import EngineEnvironment
from nodes.engines.base import Command, EngineLaunch
from nodes.leases import read_leases
from support.engines import FaultAdapter
from support.shapes import DENSE

MIB = 1 << 20
HOLD = """
import sys
print("runs", flush=True)
sys.stdin.readline()
held = b"x" * (64 << 20)
print("holds", flush=True)
sys.stdin.readline()
"""


class Flawed(FaultAdapter):
    """An engine with faults that a cell knows nothing of."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags

    def command(self, launch: EngineLaunch) -> Command:
        plain = super().command(launch)
        return replace(plain, argv=(*plain.argv, *self._flags))


def _bed(root: Path, *flags: str) -> Bed:
    return Bed(StatePaths.at(root / "state").ensure(), {"llamacpp": Flawed(*flags)})


def _subject(root: Path) -> Subject:
    artifact = root / "model.gguf"
    artifact.write_bytes(b"GGUF" * 25)
    environment = EngineEnvironment("llamacpp", "1.0-fault", sys.executable, "", 0.0)
    return Subject(Cell("fault-model", "llamacpp", 256, 3), artifact, DENSE, environment)


async def test_a_cell_is_filled_by_every_request_at_once_and_leaves_nothing_running(tmp_path: Path) -> None:
    bed = _bed(tmp_path)

    found = await measure(bed, _subject(tmp_path))

    assert found.error is None
    assert found.artifact_bytes == 100
    assert 3 * (256 - 8) <= found.filled_tokens <= 3 * 256
    assert found.rest is not None
    assert found.peak is not None
    assert found.rest.total_bytes > MIB
    assert found.peak.total_bytes > MIB
    assert read_leases(bed.paths.leases) == ()
    assert list(bed.paths.secrets.iterdir()) == []


async def test_an_engine_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    found = await measure(_bed(tmp_path, "--no-such-flag"), _subject(tmp_path))

    assert found.peak is None
    assert found.error is not None
    assert found.error.startswith("it ended with status 2: ")
    assert found.error.endswith("unrecognized arguments: --no-such-flag")


def test_of_what_an_engine_wrote_its_reason_is_quoted_and_not_where_it_may_be_found(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(
        "(Worker pid=2) ERROR 11-22 [executor.py:953] ValueError: Head dimension 288 is not supported.\n"
        "(EngineCore pid=1) ERROR 11-22 [core.py:1512]     raise RuntimeError(\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\nINFO it ends\n"
    )
    assert last_word(log) == "ValueError: Head dimension 288 is not supported."

    log.write_text("llama_model_load: error loading model: unknown architecture\nexiting\n")
    assert last_word(log) == "llama_model_load: error loading model: unknown architecture"


async def test_an_engine_that_refuses_is_quoted_and_ended(tmp_path: Path) -> None:
    bed = _bed(tmp_path, "--failing")

    found = await measure(bed, _subject(tmp_path))

    assert found.error is not None
    assert found.error.startswith("it answered 500: ")
    assert "injected failure" in found.error
    assert read_leases(bed.paths.leases) == ()


async def test_an_engine_that_dies_over_a_request_is_an_error_of_its_cell(tmp_path: Path) -> None:
    found = await measure(_bed(tmp_path, "--die-after", "4"), _subject(tmp_path))

    assert found.error is not None
    assert found.error.startswith("a request failed (")


@contextmanager
def _holder() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, which `_let_it_hold` makes take 64 MiB."""
    command = [sys.executable, "-I", "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        yield process
        process.kill()


def _let_it_hold(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()


def test_what_a_process_takes_while_it_is_watched_is_the_peak() -> None:
    with _holder() as process, PeakMeter(process.pid) as meter:
        before = usage_of(session_of(process.pid)).total_bytes
        _let_it_hold(process)
        taken = usage_of(session_of(process.pid)).total_bytes - before

    assert 60 * MIB < taken < 70 * MIB
    assert meter.peak.total_bytes - before > 60 * MIB


def test_a_session_has_its_workers_and_nobody_else() -> None:
    script = "sleep 3600 & echo $!; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        worker = int(leader.stdout.readline())
        family = session_of(leader.pid)
        os.killpg(leader.pid, 9)

    assert worker in family
    assert os.getpid() not in family


def test_own_pages_are_shared_out_and_pages_of_files_left_out() -> None:
    lines = ("55d0-7ffc ---p 00000000 00:00 0    [rollup]", "Rss: 900 kB", "Pss:    300 kB", "Pss_File:    100 kB")

    assert parse_rollup("\n".join(lines)) == 200 << 10


def test_a_file_counts_once_and_without_the_pages_that_were_changed() -> None:
    lines = (
        "7f00-7f10 r-xp 00000000 fe:00 42                         /lib/one.so",
        "Rss:                 300 kB",
        "Anonymous:             0 kB",
        "7f10-7f20 rw-p 00100000 fe:00 42                         /lib/one.so",
        "Rss:                  60 kB",
        "Anonymous:            50 kB",
        "7f30-7f40 rw-s 00000000 00:1a 7                          /dev/shm/ring",
        "Rss:                 800 kB",
        "Anonymous:             0 kB",
        "7f50-7f60 rw-p 00000000 00:00 0                          [heap]",
        "Rss:                 400 kB",
        "Anonymous:           400 kB",
    )

    assert parse_files("\n".join(lines)) == {"fe:00 42": 310 << 10}


def test_files_that_a_stranger_maps_too_count_in_full() -> None:
    with _holder() as one:
        alone = usage_of(session_of(one.pid)).file_bytes
        with _holder():
            beside = usage_of(session_of(one.pid)).file_bytes

    assert alone == beside > MIB


@pytest.mark.parametrize(("fixed", "per_word"), [(0, 1), (5, 1), (1, 3)])
async def test_a_prompt_is_as_long_as_the_tokenizer_makes_it(fixed: int, per_word: int) -> None:
    async def count_tokens(prompt: str) -> int:
        return fixed + per_word * len(prompt.split())

    ruler = await Ruler.calibrate(count_tokens, random.Random(0))

    assert ruler == Ruler(fixed, per_word)
    assert 1000 - per_word < fixed + per_word * ruler.words_for(1000) <= 1000
