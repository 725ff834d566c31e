"""How the head comes to know which members take part in Ray: a real node daemon, its TLS port, and orders to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from cluster.config import ClusterConfig
from cluster.controller import Controller
from cluster.join_records import Member
from cluster.link import NodeLink
from cluster.member_links import LinkParts, MemberLinks, RayOffer, ray_offer
from cluster.publisher import Publisher
from cluster.ray_settings import RayPorts
from cluster.registry import Registry
from cluster.snapshot import NodeAddress
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.api_wire import RayOrder
from nodes.daemon import NodeSettings
from nodes.membership import Membership, write_membership
from nodes.ray_member import read_order
from nodes.ray_process import RayRun, lease_file
from nodes.service import run_node
from nodes.snapshot import NodeId
from nodes.tls_contexts import ReloadingContext
from support.cluster_facts import desired
from support.manual_clock import ManualClock
from support.nodes import until
from support.ray_families import a_run
from support.tls import TestAuthority

pytest.importorskip("ray")
MAC = NodeId("mac")
OFFER = RayOffer("10.77.0.1", RayPorts())


class Head:
    """The part of a head that links to its members."""

    def __init__(self, root: Path, ca: TestAuthority, port: int, offer: RayOffer | str = OFFER) -> None:
        self.member = Member(MAC, "127.0.0.1", port)
        self.clock, self.transport = ManualClock(), "ray"
        self.registry = Registry.open(root / "registry.db", self.clock)
        self.controller = Controller([], desired("models: {}\n"), 1, Publisher(), self.clock)
        context = ReloadingContext(ca.identity("controller", "head"))
        parts = LinkParts(
            StatePaths.at(root / "head").ensure(),
            self.controller,
            self.registry,
            context,
            offer,
            self._transport_of,
            self.clock,
        )
        self.links = MemberLinks(parts)

    def _transport_of(self, _node: NodeId) -> Literal["ray", "https"]:
        return "https" if self.transport == "https" else "ray"

    async def told(self) -> NodeLink:
        """Again and again, as a head does: on a busy machine the first try may take too long."""
        self.links.link(self.member)
        while "not said yet" in self.link().reason:
            await self.links.tell(self.member)
            self.clock.advance(60)
        return self.link()

    async def told_meanwhile(self, happens: Callable[[], None]) -> None:
        """Something else happens while the member is asked, and it answers after that."""
        telling = asyncio.create_task(self.links.tell(self.member))
        await asyncio.sleep(0)  # it is on its way
        happens()
        await telling
        self.clock.advance(60)

    def link(self) -> NodeLink:
        link = self.controller.link_to(MAC)
        assert link is not None
        return link


@asynccontextmanager
async def a_member(root: Path, ca: TestAuthority) -> AsyncIterator[tuple[int, Path]]:
    """Its port, and the lease of its raylet while it has one."""
    paths, clock, stop = StatePaths.at(root / "mac").ensure(), SystemClock(), asyncio.Event()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    ca.identity("node", MAC, paths.identity)
    write_membership(paths.identity, Membership("home", MAC, "127.0.0.1", 1, "", "127.0.0.1", port))

    def raylet(_order: RayOrder) -> RayRun:
        return replace(a_run(paths.root), lease_file=lease_file(paths, "raylet"))

    store = ModelStore(paths.models, clock)
    settings = NodeSettings(paths, MAC, [HostProbe(paths.models)], store, (), clock, raylet=raylet)
    serving = asyncio.create_task(run_node(settings, stop))
    try:
        await until(lambda: serving.done() or paths.node_socket.exists(), "the node serves")
        yield port, lease_file(paths, "raylet")
    finally:
        stop.set()
        await serving


async def test_a_member_is_reached_by_https_until_it_has_said_that_it_takes_part(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, lease):
        head = Head(tmp_path, ca, port)
        head.links.link(head.member)
        before = head.link()
        await head.links.tell(head.member)
        after = head.link()
        await until(lease.exists, "its raylet runs")
        head.links.link(head.member)

        assert (before.kind, "not said yet" in before.reason) == ("https", True)
        assert (after.kind, after.reason) == ("ray", "")
        assert head.link() is after, "a link that is as it should be keeps what it knows"


async def test_a_member_whose_transport_becomes_https_leaves_ray(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, lease):
        head = Head(tmp_path, ca, port)
        await head.told()
        await until(lease.exists, "its raylet runs")
        head.transport = "https"
        await head.links.tell(head.member)
        await until(lambda: not lease.exists(), "its raylet has ended")

    assert (head.link().kind, head.link().reason) == ("https", "cluster.yaml says so: nodes.mac.transport")


async def test_a_cluster_without_ray_says_why_and_so_does_a_name_in_place_of_an_address(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, _):
        without = Head(tmp_path, ca, port, "cluster.yaml says so: ray.enabled")
        await without.told()
        by_name = Head(tmp_path, ca, port)
        by_name.member = replace(by_name.member, host="localhost")
        await by_name.told()

    assert without.link().reason == "cluster.yaml says so: ray.enabled"
    assert "joined as localhost" in by_name.link().reason


async def test_a_member_that_is_away_keeps_the_way_it_had_and_is_told_when_it_is_back(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, _):
        head = Head(tmp_path, ca, port)
        await head.told()
    await head.links.tell(head.member)

    assert head.link().kind == "ray"


async def test_a_member_that_is_removed_while_it_answers_stays_removed(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, lease):
        head = Head(tmp_path, ca, port)
        while not lease.exists():  # it has heard and followed
            head.links.link(head.member)
            await head.told_meanwhile(lambda: head.links.forget(MAC))

            assert head.controller.link_to(MAC) is None


async def test_a_member_that_was_removed_is_told_nothing(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, _):
        head = Head(tmp_path, ca, port)
        head.links.link(head.member)
        head.links.forget(MAC)
        await head.links.tell(head.member)

        assert read_order(StatePaths.at(tmp_path / "mac")) is None


async def test_a_member_that_is_found_elsewhere_while_it_answers_is_reached_there(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path)
    async with a_member(tmp_path, ca) as (port, lease):
        head = Head(tmp_path, ca, port)
        moved = replace(head.member, port=port + 1)
        while not lease.exists():
            head.links.link(head.member)
            await head.told_meanwhile(lambda: head.links.link(moved))

            assert head.link().address == NodeAddress(moved.host, moved.port)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({"listen": "0.0.0.0"}, "one address"),
        ({"listen": "127.0.0.1"}, "one address"),
        ({}, "one address"),
        ({"listen": "10.77.0.1"}, None),
    ],
)
def test_ray_needs_the_one_address_that_others_reach(text: dict[str, str], reason: str | None) -> None:
    offer = ray_offer(ClusterConfig.model_validate({"version": 1, "cluster": text}))

    assert isinstance(offer, str) == (reason is not None)
    assert reason is None or reason in str(offer)


def test_ray_can_be_switched_off() -> None:
    config = ClusterConfig.model_validate({"version": 1, "cluster": {"listen": "10.77.0.1"}, "ray": {"enabled": False}})

    assert ray_offer(config) == "cluster.yaml says so: ray.enabled"
