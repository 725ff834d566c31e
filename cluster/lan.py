"""The head's side of a cluster of several machines: its authority, the join listener, links to members, revocation.

Made only when the operator gave the head an address on the network (`cluster.listen`).
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from fastapi import Request

from cluster.announce import Announcement, announce
from cluster.audit_copies import AuditCopies
from cluster.audit_records import POTLUCK, AuditEvent
from cluster.audit_trail import AuditTrail
from cluster.audit_writer import AuditUnavailableError
from cluster.authority import CertificateAuthority, Subject
from cluster.controller import Controller
from cluster.join_api import JoinProtocol, join_app
from cluster.join_desk import JoinDesk
from cluster.join_records import JoinRecords, Member
from cluster.member_links import LinkParts, MemberLinks, RayOffer, Transport
from cluster.offers import offers_for
from cluster.publisher import Publisher
from cluster.ray_setup import renew_token
from cluster.registry import Registry
from cluster.sealed_members import SealedMembers
from cluster.snapshot import NodeAddress
from cluster.wish_records import WishRecords
from inventory.clock import Clock
from inventory.paths import StatePaths
from inventory.store import ModelStore
from nodes.api_wire import TrustBody
from nodes.artifact_api import add_artifacts
from nodes.client import NodeError
from nodes.deny_list import DenyList
from nodes.identity import IdentityFiles, hosts_of, install, new_key, renewal_due, validity_of
from nodes.join_wire import HEAD_NAME, Offers, OffersBody, Reported
from nodes.peer import Peer
from nodes.snapshot import NodeId
from nodes.tls_contexts import ReloadingContext, load_identity, server_context
from nodes.tls_port import open_door
from nodes.tls_server import serve_tls

TELL_EVERY_S = 1.0
RENEWAL_LOOK_S = 60.0

log = structlog.get_logger("potluck.cluster.lan")


@dataclass(frozen=True, slots=True)
class LanSettings:
    """`host` and `port` of the join listener; port 0 is any free one. `gateway_names`: what clients call it.

    `ray` is where Ray's head listens, or why there is none. `announce`: tell the network where this is.
    """

    cluster: str
    host: str
    port: int
    ray: RayOffer | str
    gateway_names: tuple[str, ...] = ()
    announce: bool = False
    sealed: tuple[str, ...] | None = None  # networks beside the cluster's; None: nothing is refused


@dataclass(frozen=True, slots=True)
class LanParts:
    paths: StatePaths
    registry: Registry
    controller: Controller
    publisher: Publisher
    transport: Transport
    trail: AuditTrail
    clock: Clock


class LanHead:
    """`run` owns the listener and what is done again and again; the rest is called by the admin API."""

    def __init__(self, settings: LanSettings, parts: LanParts, access_changed: Callable[[], None]) -> None:
        self._settings, self._parts, self._access_changed = settings, parts, access_changed
        paths = parts.paths
        self.ray = settings.ray
        self.authority = CertificateAuthority.ensure(paths.ca, settings.cluster, parts.clock)
        self.records = JoinRecords(parts.registry, parts.clock)
        self.address = NodeAddress(settings.host, settings.port)  # of the join listener; the port once it listens
        self.listening = asyncio.Event()
        self._controller_files = IdentityFiles.at(paths.identity, "controller")
        self._gateway_files = IdentityFiles.at(paths.identity, "gateway")
        self.renew_own()
        self._context = ReloadingContext(self._controller_files)
        self._links = MemberLinks(
            LinkParts(
                paths, parts.controller, parts.registry, self._context, settings.ray, parts.transport, parts.clock
            )
        )
        self._sealed = SealedMembers(paths, settings.host, settings.sealed, parts.clock)
        self._sealed.admit(self.records.members())
        self.desk = JoinDesk(self.authority, self.records, parts.trail, self._admit, parts.clock)
        self.audit_copies = AuditCopies(self.records.members, self._links.client, lambda: parts.trail.tip)
        self._told: dict[NodeId, int] = {}  # the revision of the deny list that each member has
        for member in self.records.members():
            self._links.link(member)

    def _admit(self, member: Member) -> None:
        self._sealed.admit(self.records.members())
        self._links.link(member)

    async def run(self, stop: asyncio.Event) -> None:
        server = server_context(self._controller_files, "may_prove")
        app = join_app(self.desk, self.authority.certificate_pem, self._opinion, self._offers)
        add_artifacts(app, ModelStore(self._parts.paths.models, self._parts.clock), may_copy=self._is_member)
        async with asyncio.TaskGroup() as tasks:
            endless = (self._tell_members(), self._keep_identities(server), self.audit_copies.run())
            loops = [tasks.create_task(loop) for loop in endless]
            door = await open_door(self._settings.host, self._settings.port, server, stop)
            if door is not None:
                self.address = NodeAddress(self._settings.host, door.listener.getsockname()[1])
                self.listening.set()
                self._parts.controller.set_own_door(self.address)
                log.info("join_listens", host=self.address.host, port=self.address.port)
                if self._settings.announce:
                    announcement = Announcement(self._settings.cluster, self.authority.fingerprint, self.address)
                    tasks.create_task(announce(announcement, stop))
                await serve_tls(app, door, DenyList(self._parts.paths.ca), stop, JoinProtocol)
            for loop in loops:
                loop.cancel()

    def remove(self, node_id: NodeId) -> bool:
        """Revoke a member: no link, no renewal, no traffic. False if there is no such member."""
        known = self.records.remove(node_id)
        WishRecords(self._parts.registry).forget(node_id)  # or a machine of this name that joins later stays cordoned
        self._links.forget(node_id)
        self._told.pop(node_id, None)
        self._sealed.forget(node_id)
        self._sealed.admit(self.records.members())
        if known:
            renew_token(self._parts.paths)  # Ray asks for nothing else that the machine that left does not have
            self._parts.trail.tell(AuditEvent("ray.rotate_token", "done", POTLUCK))
        self._access_changed()
        log.info("member_removed", node=node_id, known=known)
        return known

    def renew_own(self) -> None:
        """Give the head's own roles a certificate where they have none, or an old one, or one of another authority."""
        for files, subject in (
            (self._controller_files, Subject("controller", HEAD_NAME, (self._settings.host,))),
            (self._gateway_files, Subject("gateway", "gateway", (self._settings.host, *self._settings.gateway_names))),
        ):
            if self._is_good(files, subject.hosts):
                continue
            try:
                with self._parts.trail.performing(AuditEvent("certificate.issue", "begun", POTLUCK, subject.role)):
                    self._issue(files, subject)
            except AuditUnavailableError as error:  # a certificate that is old serves on for days
                log.warning("identity_not_renewed", role=subject.role, reason=error.reason)

    def _issue(self, files: IdentityFiles, subject: Subject) -> None:
        key = new_key(subject.name)
        certificate = self.authority.sign(key.request_pem, subject)
        self.records.note_certificate(subject, certificate)
        install(files, key.key_pem, certificate.pem, self.authority.certificate_pem)
        log.info("identity_made", role=subject.role, serial=certificate.serial)

    def _is_good(self, files: IdentityFiles, hosts: tuple[str, ...]) -> bool:
        if not files.complete or files.ca.read_text().strip() != self.authority.certificate_pem.strip():
            return False
        certificate = files.certificate.read_text()
        validity = validity_of(certificate)
        fresh = self.records.holds(validity.serial) and not renewal_due(validity, self._parts.clock.wall_s())
        return fresh and hosts_of(certificate) >= set(hosts)

    def _is_member(self, request: Request) -> bool:
        peer = request.state.peer
        return isinstance(peer, Peer) and peer.role == "node" and self.records.holds(peer.serial)

    def _opinion(self, member: Member) -> Reported:
        snapshot = self._parts.publisher.cluster
        for node in snapshot.nodes if snapshot is not None else ():
            if node.node_id == member.node_id:
                return Reported(node.state, node.reason, member.host)
        return Reported("unknown", "the head has not looked yet", member.host)

    def _offers(self, member: Member, asked: OffersBody) -> Offers:
        controller = self._parts.controller
        return Offers(offers_for(asked, controller.reachable(), controller.givers(), member.node_id))

    async def _keep_identities(self, server: ssl.SSLContext) -> None:
        while True:
            await asyncio.sleep(RENEWAL_LOOK_S)
            self.renew_own()
            self._context.current()
            load_identity(server, self._controller_files)

    async def _tell_members(self) -> None:
        """Hand every member what it must know and does not yet: whom to refuse, and how to take part in Ray."""
        while True:
            trust, members = self.records.trust(), self.records.members()
            async with asyncio.TaskGroup() as tasks:
                for member in members:
                    tasks.create_task(self._tell_one(member, trust))
                    tasks.create_task(self._tell_ways(member, members))
            await asyncio.sleep(TELL_EVERY_S)

    async def _tell_ways(self, member: Member, members: Sequence[Member]) -> None:
        """Whether it is sealed comes first, or it would start Ray twice."""
        await self._sealed.tell(member, members, self._links.client, self._parts.controller)
        await self._links.tell(member)

    async def _tell_one(self, member: Member, trust: TrustBody) -> None:
        if self._told.get(member.node_id) == trust.revision:
            return
        try:
            await self._links.client(member).trust(trust)
        except NodeError:
            return  # its state is shown by the controller; the next round tries again
        self._told[member.node_id] = trust.revision
