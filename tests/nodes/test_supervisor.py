"""The supervisor against real processes that misbehave."""

import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from inventory.secret_files import read_secret
from nodes.engine_body import CannotLaunchError
from nodes.leases import read_leases, reap
from nodes.orders import Authority, StaleOrderError
from nodes.process_identity import identify
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import Supervisor, UnknownEngineError, supervising
from support.engines import fault_state
from support.nodes import QUICK, FaultLauncher, pid_of, port_of, spec, until, until_state, workshop

CHIEF = Authority(epoch=3, config_revision=1)
ENGINE = EngineId("fault-1")


def no_notice() -> None:
    """Nobody listens for changes here."""


@asynccontextmanager
async def running(root: Path, launcher: FaultLauncher | None = None) -> AsyncIterator[Supervisor]:
    """A supervisor whose engines are gone when the test ends, however it ends."""
    try:
        async with supervising(workshop(root, launcher), QUICK, no_notice) as supervisor:
            yield supervisor
    finally:
        reap(root / "leases", grace_s=0.2)


def secret_of(engine: EngineSnapshot) -> str:
    assert engine.endpoint is not None
    assert engine.endpoint.secret_file is not None
    return read_secret(Path(engine.endpoint.secret_file))


def gone(pid: int) -> bool:
    return identify(pid) is None


async def test_an_engine_is_started_with_a_secret_of_its_own_and_a_private_lease(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(), CHIEF)
        engine = await until_state(supervisor, "ready")
        (lease,) = read_leases(tmp_path / "leases")
        mode = stat.S_IMODE((tmp_path / "leases" / "fault-1.json").stat().st_mode)
        url = f"http://127.0.0.1:{port_of(engine)}/v1/models"
        refused = httpx2.get(url)
        answered = httpx2.get(url, headers={"authorization": f"Bearer {secret_of(engine)}"})

    assert (refused.status_code, answered.status_code) == (401, 200)
    assert (lease.pid, lease.generation, lease.spec, mode) == (engine.pid, 1, spec(), 0o600)
    assert engine.ready_after_s is not None
    assert (engine.adopted, engine.engine_version, engine.config_revision) == (False, "1.0-fault", 1)


async def test_the_secret_is_in_no_argument_and_no_environment(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(), CHIEF)
        engine = await until_state(supervisor, "ready")
        secret = secret_of(engine).encode()
        process = Path(f"/proc/{engine.pid}")
        if not process.exists():
            pytest.skip("this system has no /proc to look into")

        assert secret not in (process / "cmdline").read_bytes()
        assert secret not in (process / "environ").read_bytes()


async def test_a_killed_engine_is_back_as_the_next_generation(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(), CHIEF)
        first = await until_state(supervisor, "ready")
        os.kill(pid_of(first), signal.SIGKILL)
        second = await until_state(supervisor, "ready", generation=2)

    assert second.pid != first.pid
    assert gone(pid_of(first))


async def test_an_engine_that_dies_at_once_ends_in_quarantine_with_its_last_words(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(die_at_start_s="0.01", slow_start_s="60"), CHIEF)
        engine = await until_state(supervisor, "quarantined")

        assert "exited with status 1" in engine.reason
        assert "fault engine listens" in engine.reason
        assert (engine.pid, engine.endpoint) == (None, None)
        assert read_leases(tmp_path / "leases") == ()
        assert list((tmp_path / "secrets").iterdir()) == []


async def test_an_engine_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(hang_on_sigterm=""), CHIEF)
        engine = await until_state(supervisor, "ready")
        supervisor.stop(ENGINE, CHIEF)
        await until(lambda: not supervisor.snapshots(), "the engine is forgotten")

    assert gone(pid_of(engine))


async def test_a_restarted_supervisor_adopts_the_same_process(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        first.ensure(spec(), CHIEF)
        started = await until_state(first, "ready")
        first.leave()  # what a daemon that is told to stop does
        async with running(tmp_path) as second:
            second.ensure(spec(), CHIEF)
            adopted = await until_state(second, "ready")
            port = fault_state(port_of(adopted))
            os.kill(pid_of(adopted), signal.SIGKILL)
            again = await until_state(second, "ready", generation=2)

    assert (adopted.pid, adopted.endpoint, adopted.adopted) == (started.pid, started.endpoint, True)
    assert port["pid"] == started.pid
    assert (again.adopted, again.pid == adopted.pid) == (False, False)


async def test_a_lease_of_a_dead_process_is_cleared_away(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        first.ensure(spec(), CHIEF)
        engine = await until_state(first, "ready")
        first.leave()
        os.kill(pid_of(engine), signal.SIGKILL)
        await until(lambda: gone(pid_of(engine)), "it is dead")
        async with running(tmp_path) as second:
            assert second.snapshots() == ()
            assert read_leases(tmp_path / "leases") == ()


async def test_another_spec_restarts_the_engine_and_the_same_one_does_not(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(slots=2), CHIEF)
        first = await until_state(supervisor, "ready")
        supervisor.ensure(spec(slots=2), Authority(3, config_revision=2))
        supervisor.ensure(spec(slots=3), Authority(3, config_revision=3))
        second = await until_state(supervisor, "ready", generation=2)

    assert (second.config_revision, first.pid != second.pid) == (3, True)
    assert gone(pid_of(first))


async def test_a_drain_lets_the_running_request_finish(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(tokens_per_s="20"), CHIEF)
        engine = await until_state(supervisor, "ready")
        headers = {"authorization": f"Bearer {secret_of(engine)}"}
        body = {"prompt": "x", "max_tokens": 20}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as client,
            client.stream(
                "POST", f"http://127.0.0.1:{port_of(engine)}/v1/completions", json={**body, "stream": True}
            ) as answer,
        ):
            supervisor.drain(ENGINE, CHIEF)
            await until_state(supervisor, "draining")
            text = "".join([part async for part in answer.aiter_text()])
        stopped = await until_state(supervisor, "stopped")

    assert text.endswith("data: [DONE]\n\n")
    assert stopped.reason == "drained"


async def test_a_frozen_engine_is_replaced_although_its_health_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(), CHIEF)
        engine = await until_state(supervisor, "ready")
        fault_state(port_of(engine), {"frozen": True, "hang_on_sigterm": True})
        with socket.create_connection(("127.0.0.1", port_of(engine))) as client:
            body = b'{"prompt":"x","max_tokens":5}'
            head = f"POST /v1/completions HTTP/1.1\r\nauthorization: Bearer {secret_of(engine)}\r\n"
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            second = await until_state(supervisor, "ready", generation=2)

    assert gone(pid_of(engine))
    assert second.pid != engine.pid


async def test_an_order_of_a_replaced_controller_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(), CHIEF)
        with pytest.raises(StaleOrderError, match="epoch 2 refused: epoch 3"):
            supervisor.stop(ENGINE, Authority(epoch=2, config_revision=9))
        supervisor.leave()
        async with running(tmp_path) as second:
            with pytest.raises(StaleOrderError):
                second.ensure(spec(slots=4), Authority(epoch=2, config_revision=9))


async def test_a_model_that_is_not_here_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path, FaultLauncher(missing={"other"})) as supervisor:
        with pytest.raises(CannotLaunchError, match="does not hold other@0123456789ab"):
            supervisor.ensure(spec(model="other"), CHIEF)
        with pytest.raises(UnknownEngineError, match="no engine nobody here"):
            supervisor.drain(EngineId("nobody"), CHIEF)
        with pytest.raises(CannotLaunchError, match="lower-case letters"):
            supervisor.ensure(spec(engine_id="../../etc"), CHIEF)


async def test_stopping_everything_returns_when_no_process_is_left(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec("fault-1"), CHIEF)
        supervisor.ensure(spec("fault-2", hang_on_sigterm=""), CHIEF)
        await until(lambda: all(e.state == "ready" for e in supervisor.snapshots()), "both are ready")
        pids = [pid_of(engine) for engine in supervisor.snapshots()]
        await supervisor.stop_all()

        assert all(gone(pid) for pid in pids)
        assert read_leases(tmp_path / "leases") == ()


async def test_the_load_of_a_busy_engine_shows_in_its_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as supervisor:
        supervisor.ensure(spec(tokens_per_s="5"), CHIEF)
        engine = await until_state(supervisor, "ready")
        headers = {"authorization": f"Bearer {secret_of(engine)}"}
        url = f"http://127.0.0.1:{port_of(engine)}/v1/completions"
        async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
            async with client.stream("POST", url, json={"prompt": "x", "max_tokens": 500, "stream": True}):
                busy = await until(
                    lambda: next((e for e in supervisor.snapshots() if e.load.running), None), "it says that it is busy"
                )
            idle = await until(
                lambda: next((e for e in supervisor.snapshots() if e.load.running == 0), None), "it is idle again"
            )

    assert busy.progress_age_s is not None
    assert (idle.progress_age_s, fault_counts_cancelled(idle)) == (None, True)


def fault_counts_cancelled(engine: EngineSnapshot) -> bool:
    return engine.load.output_tokens_total is not None and engine.load.output_tokens_total < 500
