"""What the head says of itself by mDNS, on its own network: where machines join, and under which authority.

Nothing in it is secret, and nobody has to believe it: a joiner takes an address from it, and lets its token decide.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

import psutil
import structlog
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from cluster.snapshot import NodeAddress

SERVICE_TYPE = "_potluck._tcp.local."
VERSION = "1"  # of the properties below; whoever reads them passes over any other

log = structlog.get_logger("potluck.cluster.announce")


@dataclass(frozen=True, slots=True)
class Announcement:
    cluster: str
    fingerprint: bytes  # SHA-256 of the CA's public key, as in a join token
    address: NodeAddress  # what the join listener is bound to: one address, or every one


def properties_of(fingerprint: bytes) -> dict[str, str]:
    """For the TXT record."""
    return {"v": VERSION, "fp": fingerprint.hex()}


def speaks_for(fingerprint: bytes, properties: Mapping[bytes, bytes | None]) -> bool:
    """Whether this TXT record, of anybody, is about the cluster whose authority has this fingerprint."""
    return properties.get(b"v") == VERSION.encode() and properties.get(b"fp") == fingerprint.hex().encode()


def reachable(host: str, own: Iterable[str]) -> tuple[str, ...]:
    """The addresses at which other machines may find a listener that is bound to `host`, where `own` are all there are.

    None for loopback. IPv6's link-local ones need the name of an interface, which is another one on each machine.
    """
    bound = ip_address(host)
    found = [ip_address(address) for address in own] if bound.is_unspecified else [bound]
    return tuple(
        str(address)
        for address in found
        if not address.is_loopback
        and not (address.version == 6 and address.is_link_local)
        and not (address.version == 6 and bound.version == 4)
    )


def own_addresses() -> tuple[str, ...]:
    """Of every network that this machine is on."""
    found: dict[str, None] = {}  # a set that keeps the order
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            try:
                found[str(ip_address(entry.address))] = None
            except ValueError:
                continue  # a hardware address
    return tuple(found)


async def announce(announcement: Announcement, stop: asyncio.Event) -> None:
    """Until `stop`. It is a convenience: whatever goes wrong is logged, and the head goes on without it."""
    addresses = reachable(announcement.address.host, own_addresses())
    if not addresses:
        return
    try:
        await _announce(announcement, addresses, stop)
    except Exception as error:  # noqa: BLE001 - a network without multicast fails in ways of the library's and the system's
        reason = str(error) or type(error).__name__
        log.warning("cannot_announce", reason=reason, instead="join with HOST:PORT; join.announce: false ends this")


async def _announce(announcement: Announcement, addresses: tuple[str, ...], stop: asyncio.Event) -> None:
    service = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{announcement.cluster}.{SERVICE_TYPE}",
        port=announcement.address.port,
        properties=properties_of(announcement.fingerprint),
        # Not the machine's own name: that belongs to the system's responder.
        server=f"potluck-{announcement.fingerprint.hex()[:16]}.local.",
        parsed_addresses=list(addresses),
    )
    async with AsyncZeroconf(interfaces=list(addresses)) as network:
        # Another cluster may have the same name; it is for people only, so a number behind it will do.
        await (await network.async_register_service(service, allow_name_change=True))
        log.info("announced", name=service.name, addresses=addresses, port=announcement.address.port)
        await stop.wait()
