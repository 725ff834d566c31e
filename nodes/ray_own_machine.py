"""Keeps strangers from the two servers of Ray that ask nobody who he is.

The runtime-env agent hears its own machine only: it listens on the machine's address, because its raylet calls it
there; no other machine has business with it. The client server, which runs anybody's code on port 10001, does not
start: Ray starts it by itself on a head where Python has grpc, which other packages bring, and knows no option
against it.
In sealed mode it starts the guard too.
Ray's processes find this file as `sitecustomize` on their PYTHONPATH, and Python runs it as they start.
"""

import importlib
import os
import socket
import sys
from collections.abc import Sequence

AGENT = "runtime_env/agent/main.py"

_accept = socket.socket.accept


def is_the_agent(argv: Sequence[str]) -> bool:
    return any(word.replace("\\", "/").endswith(AGENT) for word in argv)


def accept_own_machine(listener: socket.socket) -> "tuple[socket.socket, object]":
    """As `socket.accept`; who calls from elsewhere is hung up on before a byte is read. Raises OSError."""
    while True:
        connection, caller = _accept(listener)
        if caller[0] == connection.getsockname()[0]:
            return connection, caller
        connection.close()


if __name__ == "sitecustomize":
    sys.modules["grpc"] = None  # type: ignore[assignment]  # as far as Ray can see there is none

if __name__ == "sitecustomize" and os.environ.get("POTLUCK_SEALED_DIR"):
    try:
        importlib.import_module("potluck_sealed")  # nodes.sealing.guard, which lies beside this file
    except BaseException as error:  # noqa: BLE001  an error here would only be printed, and the process go on
        os.write(2, f"sealed mode: this process cannot be guarded, and ends: {error!r}\n".encode())
        os._exit(78)

if is_the_agent(sys.orig_argv):
    socket.socket.accept = accept_own_machine  # type: ignore[method-assign, assignment]  # it is not asked
