"""Which way leads to each member: through Ray where the machine takes part in it, else https, always with the reason.

The machine is told how to take part again and again, and says each time whether it does, so that a reboot, an upgrade
or another cluster.yaml needs no special case.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import structlog

from cluster.config import ClusterConfig
from cluster.controller import Controller
from cluster.failover_link import FailoverLink
from cluster.https_link import HttpsLink
from cluster.join_records import Member
from cluster.link import NodeLink
from cluster.ray_link import RayLink
from cluster.ray_settings import RayPorts
from cluster.ray_setup import bridge_socket, ensure_token, ray_program
from cluster.registry import Registry
from cluster.snapshot import NodeAddress
from inventory.clock import Clock
from inventory.paths import StatePaths
from nodes.api_wire import RayOrder, RayStanding
from nodes.client import NodeClient, NodeError, NodeUnreachableError
from nodes.ray_versions import versions_here
from nodes.snapshot import NodeId
from nodes.tls_client import PeerPlace
from nodes.tls_contexts import ReloadingContext

TELL_AGAIN_S = 10.0
TELL_TIMEOUT_S = 2.0

Transport = Callable[[NodeId], Literal["ray", "https"]]
"""What cluster.yaml says of a machine."""

log = structlog.get_logger("potluck.cluster.links")


@dataclass(frozen=True, slots=True)
class RayOffer:
    """Where Ray's head listens, for members to join it."""

    host: str
    ports: RayPorts


def ray_offer(config: ClusterConfig) -> RayOffer | str:
    """Where Ray's head is to listen, or why there is none."""
    listen = config.cluster.listen
    if not config.ray.enabled:
        return "cluster.yaml says so: ray.enabled"
    if listen is None or ip_address(listen).is_unspecified or ip_address(listen).is_loopback:
        return f"Ray needs one address of the network that the machines share, not `cluster.listen: {listen}`"
    if ray_program() is None:
        return "Ray is not installed on the head; there: pip install 'ray>=2.60'"
    return RayOffer(listen, RayPorts(config.ray.port))


@dataclass(frozen=True, slots=True)
class _Told:
    """What a member was told last, what it said to that, and when."""

    order: RayOrder | None
    standing: RayStanding
    at_s: float  # monotonic


@dataclass(frozen=True, slots=True)
class LinkParts:
    """`offer` is a RayOffer, or the reason why this cluster has no Ray."""

    paths: StatePaths
    controller: Controller
    registry: Registry
    context: ReloadingContext
    offer: RayOffer | str
    transport: Transport
    clock: Clock


class MemberLinks:
    """The controller's links to members are given and taken here only."""

    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts
        self._members: dict[NodeId, Member] = {}
        self._told: dict[NodeId, _Told] = {}
        self._linked: dict[NodeId, tuple[Member, RayStanding]] = {}

    def link(self, member: Member) -> None:
        """Give the controller a way to this machine: https until it has said that it takes part in Ray."""
        self._members[member.node_id] = member
        told = self._told.get(member.node_id)
        standing = told.standing if told is not None else RayStanding(False, "it has not said yet whether it has Ray")
        if self._linked.get(member.node_id) == (member, standing):
            return  # the link knows what went well and what did not; another one would not
        self._linked[member.node_id] = member, standing
        link = self._way(member, standing)
        self._parts.controller.add_link(link)
        self._parts.registry.note_node(member.node_id, link.kind)
        log.info("linked", node=member.node_id, link=link.kind, reason=link.reason)

    def client(self, member: Member) -> NodeClient:
        """Its node API by https, whatever way the controller goes."""
        place = PeerPlace("node", member.node_id, member.host, member.port, self._parts.context.current())
        return NodeClient(place, TELL_TIMEOUT_S)

    def forget(self, node_id: NodeId) -> None:
        """It is a member no longer. What it answers to an order that is under way gives it no link again."""
        self._members.pop(node_id, None)
        self._parts.controller.remove_link(node_id)
        self._told.pop(node_id, None)
        self._linked.pop(node_id, None)

    async def tell(self, member: Member) -> None:
        """How to take part in Ray, if it is time to say so. A machine that does not answer is told next time.

        One that was removed hears nothing more: Ray's token is new since then.
        """
        if self._members.get(member.node_id) != member:
            return
        order, why_none = self._order(member)
        told, now_s = self._told.get(member.node_id), self._parts.clock.monotonic_s()
        if told is not None and told.order == order and now_s < told.at_s + TELL_AGAIN_S:
            return
        try:
            standing = await self.client(member).ray(order, self._parts.controller.authority)
        except NodeUnreachableError:
            return
        except NodeError as error:
            standing = RayStanding(False, str(error))
        if self._members.get(member.node_id) != member:
            return  # removed, or found elsewhere, while it answered
        if why_none:
            standing = RayStanding(False, why_none)
        self._told[member.node_id] = _Told(order, standing, now_s)
        self.link(member)

    def _order(self, member: Member) -> tuple[RayOrder | None, str]:
        """With the reason where there is none."""
        offer = self._parts.offer
        if isinstance(offer, str):
            return None, offer
        if self._parts.transport(member.node_id) == "https":
            return None, f"cluster.yaml says so: nodes.{member.node_id}.transport"
        with suppress(ValueError):
            address, here = str(ip_address(member.host)), versions_here()
            token = ensure_token(self._parts.paths)
            return RayOrder(offer.host, address, offer.ports.base, token, here.python, here.ray), ""
        return None, f"Ray needs its IP address, and it joined as {member.host}; join with --host ADDRESS"

    def _way(self, member: Member, standing: RayStanding) -> NodeLink:
        address = NodeAddress(member.host, member.port)
        https = HttpsLink(member.node_id, address, self._parts.context.current(), standing.reason)
        if not standing.takes_part:
            return https
        ray = RayLink(member.node_id, bridge_socket(self._parts.paths), address)
        return FailoverLink(ray, https, self._parts.clock)
