"""The head as a process: lock, secrets, registry, controller and admin API, from start to stop."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import structlog

from cluster.access_issuers import login_issuer, token_issuer
from cluster.admin_api import AdminParts, admin_app
from cluster.admin_demand import add_demand_routes
from cluster.admin_keys import add_key_routes
from cluster.admin_models import add_model_routes
from cluster.admin_nodes import add_node_routes
from cluster.admin_pii import add_pii_routes
from cluster.admin_wire import ConfigApplied, ConfigText
from cluster.audit_admin import add_audit_reading_routes
from cluster.audit_api import add_audit_routes
from cluster.audit_records import POTLUCK, AuditEvent
from cluster.audit_trail import AuditTrail, open_trail
from cluster.config_load import parse_config
from cluster.config_owner import ConfigOwner
from cluster.controller import Controller, ControllerTimes
from cluster.desired import desired_state
from cluster.erased_head import HeadHoldings
from cluster.fit_api import add_fit_routes
from cluster.fit_fleet import FitQuery, FitReport, fit_report
from cluster.fit_frontier import FrontierDocument, frontiers
from cluster.fit_suggest import Suggestion, suggest
from cluster.join_admin import LAN_OFF, LOOPBACK_ONLY, add_join_routes
from cluster.key_desk import KeyDesk
from cluster.key_records import KeyRecords
from cluster.keys import OwnerKey, check_private, ensure_pepper
from cluster.lan import LanHead, LanParts, LanSettings
from cluster.ledger_api import add_ledger_routes
from cluster.ledger_book import LedgerBook
from cluster.ledger_records import LedgerRecords
from cluster.ledger_report import LedgerDocument, ledger_document
from cluster.link import NodeLink
from cluster.load_records import LoadRecords
from cluster.load_times import LoadBook
from cluster.member_links import RayOffer, ray_offer
from cluster.model_desk import ModelDesk
from cluster.model_wishes import ModelWishRecords
from cluster.pii.pseudonyms import key_of
from cluster.pii_vault import PseudonymVault
from cluster.plan_values import ConfigPlan
from cluster.privacy import PrivacyRules, rules_of
from cluster.privacy_api import add_privacy_routes
from cluster.publisher import Publisher
from cluster.registry import Registry
from cluster.sightings import rules_event
from cluster.snapshot import SCHEMA_VERSION, AccessSnapshot, KeyRecord
from cluster.wish_desk import WishDesk
from cluster.wish_records import WishRecords
from inventory.clock import Clock
from inventory.paths import StatePaths
from nodes.role_lock import RoleLock
from nodes.sealing.place import sealed_variables
from nodes.snapshot import NodeId
from nodes.unix_server import serve_unix

RayHead = Callable[[RayOffer, asyncio.Event], Coroutine[Any, Any, None]]
"""Ray's head and the bridge to it, kept running until the event is set."""

log = structlog.get_logger("potluck.cluster.service")


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """`config_file` is one the operator named; None means STATE/cluster.yaml, or the embedded default.

    `ray_head` runs where machines may join and cluster.yaml does not forbid it; without it every link is https.
    A head that is `loopback_only` lets no machine join, whatever cluster.yaml says.
    """

    paths: StatePaths
    config_file: Path | None = None
    times: ControllerTimes = field(default_factory=ControllerTimes)
    ray_head: RayHead | None = None
    loopback_only: bool = False


async def run_head(settings: HeadSettings, links: Sequence[NodeLink], clock: Clock, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises AlreadyRunningError, ExposedSecretError, ConfigError, RegistryVersionError."""
    paths = settings.paths.ensure()
    lock = RoleLock(paths.run, "head")
    lock.acquire()
    try:
        check_private(paths)
        registry = Registry.open(paths.registry_db, clock)
        try:
            config = ConfigOwner.read(settings.config_file, paths.config_file, registry)
            trail = open_trail(paths, _own_name(links), config.config.audit.retention, clock)
            try:
                await _serve(settings, _Head(settings, _Kept(registry, config, trail), links, clock), stop)
            finally:
                trail.close()
        finally:
            registry.close()
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a head keeps on disk, open from its start to its end."""

    registry: Registry
    config: ConfigOwner
    trail: AuditTrail


class _Head:
    """The parts of a running head, and what an operator may do to them (cluster.admin_api.HeadControl)."""

    def __init__(self, settings: HeadSettings, kept: _Kept, links: Sequence[NodeLink], clock: Clock) -> None:
        paths, registry = settings.paths, kept.registry
        self._paths, self._registry, self.trail = paths, registry, kept.trail
        pepper, self._key_records = ensure_pepper(paths.pepper), KeyRecords(registry, clock)
        self._owner_key = OwnerKey(paths, self._key_records, pepper, clock)
        self.vault = PseudonymVault(paths.pseudonyms_db, partial(key_of, pepper), clock)
        self.keys = KeyDesk(
            self._key_records, pepper, clock, self.publish_access, self._cluster_name, self._privacy_rules
        )
        self.holdings = HeadHoldings(paths, registry, self._key_records)
        self._config = kept.config
        self._epoch = registry.next_epoch()
        self.publisher = Publisher()
        self.controller = Controller(links, self._config.desired, self._epoch, self.publisher, clock, settings.times)
        loads = LoadRecords(registry)
        self.controller.keep_loads(LoadBook(loads.all(), loads.put))
        shelf = LedgerRecords(registry)
        self._ledger = LedgerBook(shelf.all(), shelf)
        self.controller.keep_ledger(self._ledger)
        for link in links:
            registry.note_node(link.node_id, link.kind)
        self.wishes = WishDesk(WishRecords(registry), self.controller, clock)
        self.models = ModelDesk(ModelWishRecords(registry), self.controller, clock)
        self.lan = None if settings.loopback_only else self._lan(clock, with_ray=settings.ray_head is not None)
        made = self._owner_key.ensure()
        if made:
            log.info("owner_key_made", file=str(paths.owner_key))
        facts = (("epoch", self._epoch), ("config_revision", self._config.revision), ("owner_key_made", made))
        self.trail.tell(AuditEvent("head.start", "done", POTLUCK, details=facts))
        if any(rule.zones is not None for rule in self._config.desired.classes):
            self.trail.tell(rules_event(self._config.desired.classes))
        self.publish_access()
        log.info("head_starts", epoch=self._epoch, config_revision=self._config.revision, config=str(self._config.file))

    def _lan(self, clock: Clock, with_ray: bool) -> LanHead | None:
        config = self._config.config
        if config.cluster.listen is None:
            return None
        door = config.gateway.lan
        names = (door.listen, *door.names) if door is not None else ()
        ray = ray_offer(config) if with_ray else "this head was made without Ray"
        settings = LanSettings(
            config.cluster.name, config.cluster.listen, config.join.port, ray, names, config.join.announce,
            config.sealed.networks if sealed_variables() else None,
        )  # fmt: skip
        parts = LanParts(
            self._paths, self._registry, self.controller, self.publisher, self._transport, self.trail, clock
        )
        return LanHead(settings, parts, self.publish_access)

    def _transport(self, node_id: NodeId) -> Literal["ray", "https"]:
        section = self._config.config.nodes.get(node_id)
        return section.transport if section is not None else "ray"

    def _privacy_rules(self) -> PrivacyRules:
        return rules_of(self._config.config.privacy.rules())

    def _cluster_name(self) -> str:
        return self._config.config.cluster.name

    def config(self) -> ConfigText:
        return ConfigText(self._config.revision, str(self._config.file), self._config.text)

    def apply_config(self, text: str) -> ConfigApplied:
        classes = self._config.desired.classes
        changed = self._config.apply(text)
        if self._config.desired.classes != classes:
            self.trail.tell(rules_event(self._config.desired.classes))
        if changed:
            self.controller.set_desired(self._config.desired)
            self.publish_access()  # it may name another issuer of tokens, or other limits
            log.info("configuration_applied", config_revision=self._config.revision)
        return ConfigApplied(self._config.revision, changed)

    def plan_config(self, text: str) -> ConfigPlan:
        loaded = parse_config(text, "cluster.yaml")
        return self.controller.plan(desired_state(loaded.config, self._config.revision + 1))

    def fit(self, query: FitQuery) -> FitReport:
        return fit_report(query, self._config.config, self.publisher.cluster)

    def frontier(self, query: FitQuery) -> FrontierDocument:
        return frontiers(query, self._config.config, self.publisher.cluster)

    def ledger(self, node: str | None) -> LedgerDocument:
        return ledger_document(self._ledger.rows, self._ledger.correction, node)

    def suggest(self, context_tokens: int, users: int) -> Suggestion:
        return suggest(context_tokens, users, self._config.config, self.publisher.cluster)

    def rotate_owner(self) -> KeyRecord:
        record = self._owner_key.rotate()
        self.publish_access()
        log.info("owner_key_rotated", key_id=record.key_id)
        return record

    def publish_access(self) -> None:
        self.publisher.publish_access(
            AccessSnapshot(
                schema=SCHEMA_VERSION,
                epoch=self._epoch,
                sequence=0,  # the publisher counts
                pepper_file=str(self._paths.pepper),
                keys=self._key_records.active(),
                revoked=self.lan.records.trust().revoked if self.lan is not None else (),
                issuer=token_issuer(self._config.config),
                limits=self._config.config.limits.rules(),
                login=login_issuer(self._config.config),
                second_factor=self._config.config.access.second_factor,
            )
        )


async def _serve(settings: HeadSettings, head: _Head, stop: asyncio.Event) -> None:
    app = admin_app(AdminParts(head, head.publisher, settings.paths.owner_key))
    add_join_routes(app, head.lan, LOOPBACK_ONLY if settings.loopback_only else LAN_OFF)
    add_key_routes(app, head.keys)
    add_pii_routes(app, head.vault)
    add_node_routes(app, head.wishes)
    add_model_routes(app, head.models)
    add_demand_routes(app, head.controller)
    add_fit_routes(app, head)
    add_ledger_routes(app, head)
    add_privacy_routes(app, head.holdings, head.publish_access)
    holders = head.lan.audit_copies if head.lan else None
    add_audit_reading_routes(app, settings.paths, holders)
    add_audit_routes(app, head.trail, settings.paths.audit_subjects_db, holders)
    async with asyncio.TaskGroup() as tasks:
        controlling = tasks.create_task(head.controller.run())
        closing = tasks.create_task(_close_feed(head.publisher, stop))
        counting = tasks.create_task(head.trail.run())
        if head.lan is not None:
            tasks.create_task(head.lan.run(stop))
            if settings.ray_head is not None and isinstance(head.lan.ray, RayOffer):
                tasks.create_task(settings.ray_head(head.lan.ray, stop))
            else:
                log.info("ray_off", reason=head.lan.ray)
        await serve_unix(app, settings.paths.head_socket, stop)
        controlling.cancel()
        closing.cancel()
        counting.cancel()


def _own_name(links: Sequence[NodeLink]) -> str:
    """Of the machine that the head runs on."""
    return next((link.node_id for link in links if link.address is None), "")


async def _close_feed(publisher: Publisher, stop: asyncio.Event) -> None:
    """Open feeds end at once, so that the server need not wait for their readers."""
    await stop.wait()
    publisher.close()
