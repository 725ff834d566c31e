"""To whom this process opens connections, as the interpreter itself tells it: whatever library they are opened by."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_listening: list[set[tuple[str, int]]] = []


@contextmanager
def connections() -> Iterator[set[tuple[str, int]]]:
    """Hosts and ports of sockets of the internet that were connected while the block ran."""
    _install()
    opened: set[tuple[str, int]] = set()
    _listening.append(opened)
    try:
        yield opened
    finally:
        _listening.remove(opened)


@cache
def _install() -> None:
    """Once in a process: an audit hook is never taken away."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _listening:
        address = arguments[1]
        if isinstance(address, tuple):
            for opened in _listening:
                opened.add((str(address[0]), int(address[1])))
