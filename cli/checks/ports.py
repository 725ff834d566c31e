"""Ports and addresses: whether this machine can listen where it is told to, and knows the names that it needs."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

import psutil

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from cluster.config import ClusterConfig
from cluster.member_links import RayOffer, ray_offer
from nodes.membership import Membership
from nodes.role_lock import ServiceRole

TRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where a role of this machine listens once it runs. `setting` is the place in cluster.yaml, or a command."""

    role: ServiceRole
    purpose: str
    host: str
    port: int
    setting: str


def check_ports(situation: Situation) -> Iterator[Result]:
    """Those of roles that do not run: each must be free, or the role cannot start."""
    if situation.is_member and situation.membership is None:
        return  # whose membership cannot be read listens nowhere, and the check of certificates tells
    doors = [door for door in doors_of(situation.config, situation.membership) if door.port]
    closed = [door for door in doors if door.role not in situation.processes]
    taken = [(door, holder) for door in closed if (holder := _holder(door))]
    for door, holder in taken:
        fix = f"stop that program, or choose another port: {door.setting}"
        yield fail(f"port {door.port}, for {door.purpose}, is taken by {holder}", fix)
    if doors and not taken:
        state = "free" if len(closed) == len(doors) else "free, or held by what runs here"
        yield ok(f"{', '.join(str(door.port) for door in doors)}: {state}")


def doors_of(config: ClusterConfig | None, membership: Membership | None) -> tuple[Door, ...]:
    """A machine that has joined another's cluster has one; the others are the head's."""
    if membership is not None:
        again = f"potluck join with --port; {membership.listen_port} is what its head knows"
        return (Door("node", "this node", membership.listen_host, membership.listen_port, again),)
    if config is None:
        return ()
    found = [Door("gateway", "the endpoint", config.gateway.host, config.gateway.port, "gateway.port in cluster.yaml")]
    lan, listen, offer = config.gateway.lan, config.cluster.listen, ray_offer(config)
    if lan is not None:
        found.append(Door("gateway", "the endpoint's https", lan.listen, lan.port, "gateway.lan.port in cluster.yaml"))
    if listen is not None:
        found.append(Door("head", "joining", listen, config.join.port, "join.port in cluster.yaml"))
    if isinstance(offer, RayOffer):
        first, last = offer.ports.ranges[0]
        found += [Door("head", "Ray", "0.0.0.0", port, "ray.port in cluster.yaml") for port in range(first, last + 1)]
    return tuple(found)


def check_addresses(situation: Situation) -> Iterator[Result]:
    """What the machine is told to listen at must be one of its addresses: leases of DHCP change."""
    config, membership = situation.config, situation.membership
    told: list[tuple[str, str]] = []
    if membership is not None:
        told.append(("potluck join --listen", membership.listen_host))
    elif config is not None and not situation.is_member:
        told += [("cluster.listen", config.cluster.listen)] if config.cluster.listen is not None else []
        told += [("gateway.lan.listen", config.gateway.lan.listen)] if config.gateway.lan is not None else []
    yield from addresses(told, _own_addresses())


def addresses(told: Sequence[tuple[str, str]], own: Sequence[str]) -> Iterator[Result]:
    for setting, address in told:
        if address in own or not _is_address(address) or _is_any(address):
            yield ok(f"{setting} {address}")
        else:
            others = ", ".join(one for one in own if not ip_address(one).is_loopback) or "none beyond loopback"
            fix = "put one of them there, or give the machine its old address back (a fixed lease of the router)"
            yield fail(f"{setting} is {address}, and this machine's addresses are: {others}", fix)


def check_names(situation: Situation) -> Iterator[Result]:
    """localhost, which clients say, and the head's name where this machine joined by one."""
    yield local_name(_resolved("localhost"))
    membership = situation.membership
    if membership is None or _is_address(membership.head_host):
        return
    found = _resolved(membership.head_host)
    if found:
        yield ok(f"{membership.head_host} is {', '.join(found)}")
    else:
        told = f"{membership.head_host}, the head of this machine's cluster, cannot be resolved"
        yield fail(told, f"add its address to /etc/hosts: ADDRESS {membership.head_host}")


def local_name(found: Sequence[str]) -> Result:
    if found and all(ip_address(one).is_loopback for one in found) and "127.0.0.1" in found:
        return ok("localhost is 127.0.0.1")
    told = f"localhost is {', '.join(found)}" if found else "localhost cannot be resolved"
    return warn(f"{told}, so clients that say localhost miss the endpoint", "put `127.0.0.1 localhost` into /etc/hosts")


def _holder(door: Door) -> str:
    """Who listens there; "" where nobody does."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS tells root only
        return "another program" if _answers(door) else ""
    for connection in connections:
        place = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not place or place.port != door.port:
            continue
        if _overlap(place.ip, door.host):
            return _program(connection.pid)
    return ""


def _overlap(one: str, other: str) -> bool:
    return _plain(one) == _plain(other) or _is_any(one) or _is_any(other)


def _plain(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host.removeprefix("::ffff:")


def _is_any(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_unspecified


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _answers(door: Door) -> bool:
    host = "127.0.0.1" if _is_any(door.host) else door.host
    try:
        socket.create_connection((host, door.port), TRY_S).close()
    except OSError:
        return False
    return True


def _program(pid: int | None) -> str:
    with suppress(psutil.Error):
        if pid is not None:
            return f"{psutil.Process(pid).name()} (process {pid})"
    return "another program"


def _own_addresses() -> list[str]:
    found = [address for interface in psutil.net_if_addrs().values() for address in interface]
    return sorted(
        {one.address for one in found if one.family in (socket.AF_INET, socket.AF_INET6) and "%" not in one.address}
    )


def _resolved(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))
