"""Deaths: of the engine, of each service, of all of potluck at once. Nothing is lost and nothing is left over."""

import os
import signal
from collections.abc import Iterator

import pytest
from openai import OpenAI

from support.leaks import CANARY
from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One for all: what a test has ended is up again with the next."""
    machine = Machine(tmp_path_factory.mktemp("recovery") / "state")
    yield machine
    machine.potluck("down", expect=None)


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

    eventually(lambda: set(machine.lease_pids().values()) - {killed}, 60, "another engine")
    eventually(lambda: answers(running), 60, "an answer again")


def test_potluck_killed_whole_adopts_the_same_engine(machine: Machine) -> None:
    machine.up()
    pid = machine.engine_pid()
    for service in machine.services():
        service.kill()
    eventually(lambda: not machine.services(), 30, "every service is dead")
    assert machine.engine_pid() == pid

    again = machine.up()

    assert machine.engine_pid() == pid
    eventually(lambda: answers(again), 60, "an answer")


def test_a_killed_supervisor_takes_the_services_but_not_the_engine(machine: Machine) -> None:
    machine.up()
    pid = machine.engine_pid()
    (supervisor,) = machine.services("supervise")
    supervisor.kill()

    eventually(lambda: not machine.services(), 60, "the services noticed")
    assert machine.engine_pid() == pid
    os.kill(pid, 0)


@pytest.mark.parametrize("role", ["gateway", "head", "node"])
def test_a_killed_service_is_started_again_beside_the_same_engine(machine: Machine, role: str) -> None:
    running = machine.up()
    pid = machine.engine_pid()
    (service,) = machine.services(role)
    service.kill()

    eventually(lambda: set(machine.services(role)) - {service}, 60, "a new one")
    eventually(lambda: answers(running), 60, "an answer")
    assert machine.engine_pid() == pid


def test_the_gateway_serves_on_while_the_head_is_stopped(machine: Machine) -> None:
    running = machine.up()
    (head,) = machine.services("head")
    head.suspend()
    try:
        eventually(lambda: answers(running), 60, "an answer")
    finally:
        head.resume()


def test_down_after_a_crash_stops_the_orphaned_engine(machine: Machine) -> None:
    machine.up()
    for service in machine.services():
        service.kill()

    machine.down()

    eventually(lambda: not machine.processes(), 30, "no process of ours")
