"""Processes: the gate, the group, the end, and the log they write."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from nodes import engine_log
from nodes.engines.base import Command
from nodes.process import EngineProcess
from nodes.process_identity import ProcessIdentity, identify, is_alive, listens
from support.nodes import until

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
sys.exit(3)
"""
ORPHANING = """
import subprocess
print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True).pid)
"""
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def python(code: str, directory: Path, *environment: tuple[str, str]) -> Command:
    return Command((sys.executable, "-I", "-c", code), environment, str(directory))


async def test_nothing_runs_before_the_gate_is_opened(tmp_path: Path) -> None:
    command = python("open('ran', 'w').close()", tmp_path)
    process = EngineProcess.hold(command, tmp_path / "log")
    assert is_alive(process.identity)
    assert not (tmp_path / "ran").exists()

    process.release()
    status = await process.wait()

    assert (status, (tmp_path / "ran").exists()) == (0, True)


async def test_a_process_whose_daemon_died_before_opening_the_gate_ends_by_itself(tmp_path: Path) -> None:
    process = EngineProcess.hold(python("open('ran', 'w').close()", tmp_path), tmp_path / "log")
    process.discard()

    assert not is_alive(process.identity)
    assert not (tmp_path / "ran").exists()


async def test_the_pid_and_identity_stay_when_the_gate_becomes_the_engine(tmp_path: Path) -> None:
    process = EngineProcess.hold(python(SLEEPER, tmp_path), tmp_path / "log")
    process.release()
    await until(lambda: engine_log.tail(tmp_path / "log") == "up", "the engine runs")

    assert identify(process.identity.pid) == process.identity
    process.signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def test_the_whole_group_ends_with_its_leader(tmp_path: Path) -> None:
    process = EngineProcess.hold(python(PARENT, tmp_path), tmp_path / "log")
    process.release()

    assert await process.wait() == 3
    child = int(engine_log.tail(tmp_path / "log", lines=1))
    await until(lambda: identify(child) is None, "the child is gone too")


async def test_a_process_of_another_parent_is_watched_and_signalled_too(tmp_path: Path) -> None:
    maker = await asyncio.create_subprocess_exec(sys.executable, "-c", ORPHANING, stdout=asyncio.subprocess.PIPE)
    pid = int((await maker.communicate())[0])
    identity = identify(pid)
    assert identity is not None

    orphan = EngineProcess.adopt(identity)
    waiting = asyncio.create_task(orphan.wait())
    orphan.signal(signal.SIGTERM)

    assert await asyncio.wait_for(waiting, 10) is None
    assert not is_alive(identity)


async def test_a_recycled_pid_is_never_taken_for_the_process_that_had_it(tmp_path: Path) -> None:
    myself = identify(os.getpid())
    assert myself is not None
    former = ProcessIdentity(myself.pid, "ticks:1", myself.boot_id)
    other_boot = ProcessIdentity(myself.pid, myself.start_mark, "another boot")

    assert [is_alive(one) for one in (myself, former, other_boot)] == [True, False, False]
    EngineProcess.adopt(former).signal(signal.SIGKILL)  # this test would end here


async def test_only_a_few_variables_reach_the_engine(tmp_path: Path) -> None:
    os.environ["OPERATORS_TOKEN"] = "secret"
    try:
        command = python("import os; print(sorted(os.environ))", tmp_path, ("HF_HUB_OFFLINE", "1"))
        process = EngineProcess.hold(command, tmp_path / "log")
        process.release()
        await process.wait()
    finally:
        del os.environ["OPERATORS_TOKEN"]
    seen = engine_log.tail(tmp_path / "log")

    assert "HF_HUB_OFFLINE" in seen
    assert "PATH" in seen
    assert "OPERATORS_TOKEN" not in seen


async def test_who_listens_on_a_port_is_known(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert listens(os.getpid(), port) is True
        assert listens(os.getpid(), 1) is False


def test_a_log_that_outgrew_its_limit_keeps_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    writer = engine_log.open_log(log)
    os.write(writer, b"x" * 5000 + b"the end\n")

    assert engine_log.trim(log, limit_bytes=10_000) is False
    assert engine_log.trim(log, limit_bytes=1000, kept_bytes=100) is True
    os.write(writer, b"goes on\n")
    os.close(writer)

    assert log.stat().st_size == 108
    assert engine_log.tail(log, lines=2).endswith("the end\ngoes on")
    assert engine_log.tail(tmp_path / "no such log") == ""


PYDANTIC = """\
    raise refusal
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, max_model_len (512) is more than the model has (256). [type=value_error]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
CHILD = """\
(EngineCore pid=7) ValueError: 1.9 GiB KV cache is needed, 0.4 GiB is there.
(APIServer pid=5) Traceback (most recent call last):
(APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (PYDANTIC, "Value error, max_model_len (512) is more than the model has (256). [type=value_error]"),
        (CHILD, "ValueError: 1.9 GiB KV cache is needed, 0.4 GiB is there."),
        ("ValueError: of old\nTraceback:\nOSError: no such file\n", "OSError: no such file"),
        ("main: exiting due to model loading error\n\n", "main: exiting due to model loading error"),
        ("", ""),
    ],
)
def test_why_an_engine_ended_is_what_says_the_cause(tmp_path: Path, written: str, why: str) -> None:
    log = tmp_path / "log"
    log.write_text(written)

    assert engine_log.why_it_ended(log) == why


def test_why_an_engine_ended_is_never_what_an_earlier_one_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    earlier = "RuntimeError: of the last start\n"
    log.write_text(earlier + "no room\n")

    assert engine_log.why_it_ended(log, since=len(earlier)) == "no room"
    assert engine_log.why_it_ended(log, since=10**6) == "RuntimeError: of the last start", "the log was trimmed since"
