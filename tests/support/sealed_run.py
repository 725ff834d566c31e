"""Runs a command where every packet that leaves is counted, and fails when one did: python -m support.sealed_run CMD

Before the command it shows that the count can be believed: what is sent on purpose is counted, and twelve ways out are
each refused, and named, in sealed mode, without a packet. Where the machine makes no network namespaces the command
runs as it is, and the reason stands at the end. `--without-leaks` leaves the twelve to another run.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from support.counted_network import CountedNetwork, counted_network, wait_for_packets, why_not
from support.sealed_leaks import try_leaks

CONTROL = """
import socket
for family, address in ((socket.AF_INET, "203.0.113.9"), (socket.AF_INET6, "2001:db8::9")):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"control", (address, 9))
try:
    socket.getaddrinfo("control.invalid", 9)
except OSError:
    pass
"""
CONTROL_PACKETS = 3  # at least: a lookup may be tried again
SHOWN = 20
OPTION = "--without-leaks"


class ControlFailedError(Exception):
    """The count cannot be believed, so the command is not run. Exit 1."""


def main(words: Sequence[str]) -> int:
    command = [word for word in words if word != OPTION]
    os.environ.pop("PYTHONPATH", None)  # it led here, and is none of the command's
    if (reason := why_not()) is not None:
        code = subprocess.run(command, check=False).returncode
        print(f"RESULT sealed packets=unknown reason={reason!r}")
        return code
    with tempfile.TemporaryDirectory(prefix="potluck-counted-") as directory, counted_network(Path(directory)) as net:
        try:
            control_sent = positive_control(net)
            leaks = "" if OPTION in words else f" leaks_refused={negative_control(net, Path(directory))}"
        except ControlFailedError as error:
            print(f"sealed run: {error}", file=sys.stderr)
            return 1
        before, seen = net.sent(), len(net.destinations())
        code = subprocess.run(net.argv(*command), check=False).returncode
        packets = net.sent() - before
        for destination, count in Counter(net.destinations()[seen:]).most_common(SHOWN):
            print(f"sealed run: left this machine: {destination} ({count}x)")
        print(f"RESULT sealed packets={packets} control_sent={control_sent}{leaks}")
    return code or (1 if packets else 0)


def positive_control(network: CountedNetwork) -> int:
    """What is sent on purpose is counted: to an address, over IPv6, and by asking for a name."""
    before = network.sent()
    subprocess.run(network.argv(sys.executable, "-c", CONTROL), check=True)
    sent = wait_for_packets(network, before + CONTROL_PACKETS) - before
    if sent < CONTROL_PACKETS:
        raise ControlFailedError(f"{CONTROL_PACKETS} packets were sent on purpose, and {sent} were counted")
    return sent


def negative_control(network: CountedNetwork, directory: Path) -> int:
    """How many leaks were refused and named: all, and none of them sent a packet."""
    before = network.sent()
    tried = try_leaks(directory, prefix=tuple(network.argv()))
    if tried.missing:
        raise ControlFailedError(f"not refused by name: {', '.join(tried.missing)}\n{tried.said}")
    if sent := network.sent() - before:
        raise ControlFailedError(f"{sent} packets left while everything was refused: {network.destinations()[-sent:]}")
    return len(tried.refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
