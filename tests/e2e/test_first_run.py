"""What a newcomer does: one command, an answer; the command again; everything away."""

import json
from typing import Any

import pytest

from support.machine import Machine, eventually

pytestmark = pytest.mark.e2e


def test_up_answers_and_up_again_keeps_the_engine_and_down_leaves_nothing(machine: Machine) -> None:
    first = machine.up("--hello")
    pid = machine.engine_pid()

    second = machine.up()
    assert second == first
    assert machine.engine_pid() == pid

    assert machine.potluck("chat", "--prompt", "Say hello.", "--max-tokens", "8").stdout.strip()
    assert "smollm2" in machine.potluck("status").stdout

    machine.down()
    eventually(lambda: not machine.processes(), 30, "no process of ours")
    assert machine.lease_pids() == {}


def test_what_the_engine_took_is_in_the_ledger_beside_what_was_predicted(
    shared_machine: Machine, running: object
) -> None:
    shared_machine.potluck("chat", "--prompt", "Say hello.", "--max-tokens", "8")

    def served() -> Any:
        document = json.loads(shared_machine.potluck("fit", "--ledger", "--json").stdout)
        return next((one for one in document["engines"] if any(start["served"] for start in one["starts"])), None)

    engine = eventually(served, 60, "a start that has served")

    errors = {one["item"]: one for one in engine["errors"]}
    assert {"weights", "kv cache", "compute buffers", "runtime + safety", "total"} <= set(errors)
    for item in ("weights", "kv cache"):
        assert abs(errors[item]["median"]) < 0.01
    assert abs(errors["total"]["median"]) < 0.25  # its context is not filled
    assert {item["terms"][0] for item in engine["starts"][0]["told"]} >= {"weights", "kv cache"}
    text = shared_machine.potluck("fit", "--ledger").stdout
    assert "MEDIAN ERROR" in text and "correction: " in text
    print(
        f"RESULT ledger_total_error={errors['total']['median']:+.1%}"
        f" runtime_error={errors['runtime + safety']['median']:+.1%}"
    )


def test_up_json_is_one_line_with_endpoint_and_key(shared_machine: Machine, running: object) -> None:
    (line,) = shared_machine.potluck("up", "--detach", "--json").stdout.splitlines()

    assert {"endpoint", "api_key", "dashboard"} <= set(json.loads(line))


def test_down_where_nothing_runs_is_fine(machine: Machine) -> None:
    assert machine.potluck("down").returncode == 0


def test_commands_that_need_a_running_potluck_say_so_and_exit_6(machine: Machine) -> None:
    assert "potluck up" in machine.potluck("status", expect=6).stderr
    assert "potluck up" in machine.potluck("chat", "--prompt", "hi", expect=6).stderr


def test_status_json_is_versioned(shared_machine: Machine, running: object) -> None:
    document = shared_machine.status()

    assert document["apiVersion"] == "potluck/v1"
    assert document["kind"] == "Status"


def test_doctor_is_content_with_a_running_machine(shared_machine: Machine, running: object) -> None:
    findings = json.loads(shared_machine.potluck("doctor", "--json").stdout)["findings"]

    # Those are what this machine is: full or small, or short of memory while other tests run.
    own = {"file system", "disk", "container", "memory", "nvidia"}
    assert [one for one in findings if one["verdict"] != "ok" and one["name"] not in own] == []
