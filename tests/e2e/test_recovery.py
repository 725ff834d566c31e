"""Deaths: of the engine, of each service, of all of potluck at once. Nothing is lost and nothing is left over."""

import os
import signal

import pytest
from openai import OpenAI

from support.leaks import CANARY
from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e


def answers(running: Running) -> bool:
    with OpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0) as client:
        try:
            answer = client.chat.completions.create(
                model="smollm2", messages=[{"role": "user", "content": CANARY}], max_tokens=4
            )
        except Exception:  # noqa: BLE001 - any failure means "not yet"
            return False
        return bool(answer.choices)


def test_a_killed_engine_is_back_without_help(machine: Machine) -> None:
    running = machine.up()
    killed = machine.engine_pid()
    os.kill(killed, signal.SIGKILL)

    eventually(
        lambda: machine.lease_pids() and machine.engine_pid() != killed and answers(running), 30, "an answer again"
    )


def test_potluck_killed_whole_adopts_the_same_engine(machine: Machine) -> None:
    machine.up()
    pid = machine.engine_pid()
    for service in machine.services():
        service.kill()
    eventually(lambda: not machine.services(), 10, "every service is dead")
    assert machine.engine_pid() == pid

    again = machine.up()

    assert machine.engine_pid() == pid
    assert answers(again)


def test_a_killed_supervisor_takes_the_services_but_not_the_engine(machine: Machine) -> None:
    machine.up()
    pid = machine.engine_pid()
    (supervisor,) = [process for process in machine.services() if "supervise" in process.cmdline()]
    supervisor.kill()

    eventually(lambda: not machine.services(), 20, "the services noticed")
    assert machine.engine_pid() == pid
    os.kill(pid, 0)


@pytest.mark.parametrize("role", ["gateway", "head", "node"])
def test_a_killed_service_is_started_again_beside_the_same_engine(machine: Machine, role: str) -> None:
    running = machine.up()
    pid = machine.engine_pid()
    (service,) = [process for process in machine.services() if role in process.cmdline()]
    service.kill()

    eventually(lambda: [p for p in machine.services() if role in p.cmdline() and p.pid != service.pid], 20, "a new one")
    eventually(lambda: answers(running), 20, "an answer")
    assert machine.engine_pid() == pid


def test_the_gateway_serves_on_while_the_head_is_stopped(machine: Machine) -> None:
    running = machine.up()
    (head,) = [process for process in machine.services() if "head" in process.cmdline()]
    head.suspend()
    try:
        assert answers(running)
    finally:
        head.resume()


def test_down_after_a_crash_stops_the_orphaned_engine(machine: Machine) -> None:
    machine.up()
    for service in machine.services():
        service.kill()

    machine.down()

    eventually(lambda: not machine.processes(), 10, "no process of ours")
