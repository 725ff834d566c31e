import socket
import sys

import pytest

from nodes.ray_own_machine import AGENT, accept_own_machine, is_the_agent


def test_it_is_for_the_agent_alone() -> None:
    assert is_the_agent(["/venv/bin/python", "-u", f"/venv/lib/ray/_private/{AGENT}", "--node-ip-address=10.0.0.1"])
    assert not is_the_agent(sys.orig_argv)
    assert not is_the_agent(["/venv/bin/python", "/venv/lib/ray/_private/workers/default_worker.py"])


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of its own on Linux only")
def test_a_caller_from_elsewhere_is_hung_up_on_and_the_next_is_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with (
            socket.create_connection(address, 2, source_address=("127.0.0.2", 0)) as stranger,
            socket.create_connection(address, 2) as own,
        ):
            connection, caller = accept_own_machine(listener)
            connection.close()

            assert caller == own.getsockname()
            assert stranger.recv(1) == b""
