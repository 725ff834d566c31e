"""Leases on disk, and ending engines by nothing but them."""

import json
import signal
from pathlib import Path

import pytest

from nodes.leases import read_leases, reap, remove_lease, valid_engine_id, write_lease
from support.leases import lease_of, sleeper


def test_a_lease_comes_back_as_it_was_written(tmp_path: Path) -> None:
    with sleeper() as process:
        lease = lease_of(process.pid)
        write_lease(tmp_path, lease)
        assert read_leases(tmp_path) == (lease,)
        remove_lease(tmp_path, lease.engine_id)
        assert read_leases(tmp_path) == ()
        process.kill()


def test_reaping_ends_what_the_leases_name_and_forgets_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    stubborn_code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with sleeper() as mild, sleeper(stubborn_code) as stubborn:
        write_lease(tmp_path, lease_of(mild.pid, "mild", secret))
        write_lease(tmp_path, lease_of(stubborn.pid, "stubborn"))

        reaped = reap(tmp_path, grace_s=0.3)

        assert [(one.engine_id, one.pid, one.how) for one in reaped] == [
            ("mild", mild.pid, "stopped"),
            ("stubborn", stubborn.pid, "killed"),
        ]
        assert (mild.wait(), stubborn.wait()) == (-signal.SIGTERM, -signal.SIGKILL)
    assert (read_leases(tmp_path), secret.exists()) == ((), False)


def test_a_process_that_only_has_the_pid_of_a_lease_is_left_alone(tmp_path: Path) -> None:
    with sleeper() as stranger:
        lease = lease_of(stranger.pid)
        write_lease(tmp_path, lease)
        path = tmp_path / "engine-1.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "start_mark": "ticks:7"}))

        assert reap(tmp_path, grace_s=0.1) == ()
        assert stranger.poll() is None
        assert read_leases(tmp_path) == ()
        stranger.kill()


def test_a_lease_of_another_version_is_still_enough_to_end_the_engine(tmp_path: Path) -> None:
    with sleeper() as process:
        lease = lease_of(process.pid)
        fields = {"engine_id": "old", "pid": lease.pid, "start_mark": lease.start_mark, "boot_id": lease.boot_id}
        (tmp_path / "old.json").write_text(json.dumps({**fields, "schema": 99, "unheard_of": []}))

        assert read_leases(tmp_path) == ()
        assert [one.how for one in reap(tmp_path, grace_s=5)] == ["stopped"]
        assert process.wait() == -signal.SIGTERM


def test_a_damaged_lease_hides_no_other(tmp_path: Path) -> None:
    with sleeper() as process:
        (tmp_path / "a.json").write_text("{")
        write_lease(tmp_path, lease_of(process.pid, "b"))

        assert [lease.engine_id for lease in read_leases(tmp_path)] == ["b"]
        process.kill()


@pytest.mark.parametrize(
    ("text", "valid"),
    [("smollm2-1", True), ("a.b-c", True), ("", False), ("..", False), ("../x", False), ("A", False), ("-a", False)],
)
def test_engine_ids_are_safe_file_names(text: str, valid: bool) -> None:
    assert valid_engine_id(text) is valid
