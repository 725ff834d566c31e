"""A network whose only way out is counted: a namespace with a default route over a link on whose far side nobody lives.

What a program sends to any address beyond loopback really leaves, and the kernel's own counter of the link tells it.
The far side writes down where each packet wanted to go. The kernel itself says nothing on the link: neighbours are
given, and IPv6 looks for no router and makes up no address.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LINK = "counted"
NEAR, FAR = "198.18.0.2", "198.18.0.1"  # the block for measurements: no machine of a network has it
NEAR_6, FAR_6 = "fd57:7073::2", "fd57:7073::1"
FAR_MAC = "02:70:6c:00:00:01"
READY_S = 10.0
# `ip netns exec` mounts a bare /sys, without the control groups by which tests bound memory: they are held aside
# meanwhile, in mounts that nobody else sees. $0 is where; each step takes the place of the one before.
_KEEPS_GROUPS = """mount --rbind /sys/fs/cgroup "$0" 2>/dev/null
name=$1; shift
exec ip netns exec "$name" sh -c 'mount --rbind "$0" /sys/fs/cgroup 2>/dev/null; exec "$@"' "$0" "$@"
"""


@dataclass(frozen=True, slots=True)
class CountedNetwork:
    """Programs run in `namespace`. `record` has a line for each packet that came to the far side."""

    namespace: str
    record: Path

    def argv(self, *command: str) -> list[str]:
        """`command` inside, as a command line to start from outside. The pid stays the command's own."""
        aside = self.record.with_name("cgroup")
        return ["unshare", "--mount", "sh", "-c", _KEEPS_GROUPS, str(aside), self.namespace, *command]

    def sent(self) -> int:
        """How many packets have left over the link since it was made."""
        shown = json.loads(_ip("-n", self.namespace, "-j", "-s", "link", "show", "dev", LINK))
        return int(shown[0]["stats64"]["tx"]["packets"])

    def destinations(self) -> tuple[str, ...]:
        """Where the packets wanted to go, in the order in which they came."""
        return tuple(self.record.read_text().splitlines())


def why_not() -> str | None:
    """Why this machine cannot have such a network; None when it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with tempfile.TemporaryDirectory() as directory, counted_network(Path(directory)):
            return None
    except subprocess.CalledProcessError as error:
        return f"this machine makes no such network: {' '.join(error.cmd)}: {error.stderr.strip()}"
    except (OSError, RuntimeError) as error:
        return f"this machine makes no such network: {error}"


@contextmanager
def counted_network(directory: Path) -> Iterator[CountedNetwork]:
    """Made, and removed with whatever still runs in it. `directory` holds the record."""
    mark = secrets.token_hex(2)
    network = CountedNetwork(f"potluck-{mark}-counted", directory / "packets.txt")
    network.record.with_name("cgroup").mkdir()
    far = f"potluck-{mark}-far"
    settings = Path("/etc/netns") / network.namespace
    recorder: subprocess.Popen[str] | None = None
    try:
        _lay(network.namespace, far)
        _resolve_by_the_link(settings)
        recorder = _recorder(far, network.record)
        yield network
    finally:
        if recorder is not None:
            recorder.kill()
            recorder.wait()
        for namespace in (network.namespace, far):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", namespace)
        for path in (settings / "resolv.conf", settings / "nsswitch.conf"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            settings.rmdir()


def _lay(near: str, far: str) -> None:
    for namespace in (near, far):
        _ip("netns", "add", namespace)
        # Before there is a link: what it does when it comes up is settled by then.
        for name, value in (("addr_gen_mode", "1"), ("accept_ra", "0"), ("accept_dad", "0"), ("autoconf", "0")):
            _set_default(namespace, name, value)
        _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", near, "link", "add", LINK, "type", "veth", "peer", "name", LINK, "address", FAR_MAC, "netns", far)
    _ip("-n", far, "link", "set", LINK, "arp", "off", "multicast", "off", "up")
    # Without neighbours to ask for it joins no group for its own address, and so reports none.
    _ip("-n", near, "link", "set", LINK, "arp", "off", "multicast", "off", "up")
    _ip("-n", near, "address", "add", f"{NEAR}/30", "dev", LINK)
    _ip("-n", near, "address", "add", f"{NEAR_6}/126", "dev", LINK, "nodad")
    for address in (FAR, FAR_6):
        _ip("-n", near, "neighbour", "add", address, "lladdr", FAR_MAC, "nud", "permanent", "dev", LINK)
    _ip("-n", near, "route", "add", "default", "via", FAR)
    _ip("-n", near, "-6", "route", "add", "default", "via", FAR_6)


def _set_default(namespace: str, name: str, value: str) -> None:
    path = f"/proc/sys/net/ipv6/conf/default/{name}"
    argv = ["ip", "netns", "exec", namespace, "sh", "-c", f"[ ! -e {path} ] || echo {value} > {path}"]
    subprocess.run(argv, capture_output=True, text=True, check=True)


def _resolve_by_the_link(settings: Path) -> None:
    """`ip netns exec` lays these over the machine's own: a name is asked for over the link, and by nobody else."""
    settings.mkdir(parents=True)
    (settings / "resolv.conf").write_text(f"nameserver {FAR}\noptions timeout:1 attempts:1\n")
    (settings / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def _recorder(far: str, record: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        ["ip", "netns", "exec", far, sys.executable, __file__, str(record)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        if said.readline() != "ready\n":
            process.wait()
            raise RuntimeError("nobody can listen at the far side of the link")
    return process


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def wait_for_packets(network: CountedNetwork, least: int) -> int:
    """How many have been sent, once there are that many, or time is over."""
    end = time.monotonic() + READY_S
    while (sent := network.sent()) < least and time.monotonic() < end:
        time.sleep(0.01)
    return sent


def record_packets(record: Path) -> None:
    """The far side's program: a line for each packet, until it is killed."""
    every_protocol = 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol)) as ear, record.open("w") as out:
        ear.bind((LINK, every_protocol))
        print("ready", flush=True)
        while True:
            out.write(described(ear.recv(2048)) + "\n")
            out.flush()


def described(frame: bytes) -> str:
    """Where an Ethernet frame goes: `udp 9.9.9.9 port 53`."""
    kind, packet = int.from_bytes(frame[12:14]), frame[14:]
    if kind == 0x0800 and len(packet) >= 20:
        protocol, address, rest = (
            packet[9],
            socket.inet_ntop(socket.AF_INET, packet[16:20]),
            packet[(packet[0] & 15) * 4 :],
        )
    elif kind == 0x86DD and len(packet) >= 40:
        protocol, address, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    else:
        return f"ethernet {kind:#06x}"
    name = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 2: "igmp"}.get(protocol, f"protocol {protocol}")
    if name in ("tcp", "udp") and len(rest) >= 4:
        port = int.from_bytes(rest[2:4])
        asked = f" for {_asked_name(rest[8:])}" if (name, port) == ("udp", 53) else ""
        return f"{name} {address} port {port}{asked}"
    return f"{name} {address} type {rest[0] if rest else '?'}"


def _asked_name(question: bytes) -> str:
    """Of a packet to a name server: its first question follows twelve bytes."""
    labels, place = [], 12
    while place < len(question) and (length := question[place]):
        labels.append(question[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
    return ".".join(labels) or "?"


if __name__ == "__main__":
    record_packets(Path(sys.argv[1]))
