"""The doctor on a machine that has joined: a real head beside it, and each way in which it can be out of reach."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from cli.checks.finding import Finding
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.api_wire import RayOrder
from nodes.membership import membership_file, read_membership, write_membership
from nodes.ray_versions import versions_here
from support.doctor_state import DoctorState, free_ports, in_the_table, install_engine, listening, verdicts
from support.joining import Head, free_port, joined, joiner, running_head, running_node, view_of

UNKNOWN_HEAD = "no machine has this name"  # one that could be a name would be asked for on the network


@pytest.fixture(autouse=True)
def _own_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POTLUCK_ENGINES_DIR", raising=False)


@dataclass
class Member:
    paths: StatePaths
    head: Head

    async def findings(self) -> tuple[Finding, ...]:
        return await asyncio.to_thread(DoctorState(self.paths, 0, 0).findings)

    async def alarms(self, *but: str) -> dict[str, str]:
        """Without what a test's machine may be whether it has joined or not: small, and without a model."""
        left_out = frozenset({"container", "file system", "disk", "models", *but})
        return {**verdicts(await self.findings(), left_out)}

    async def told(self, check: str) -> Finding:
        (finding,) = (one for one in await self.findings() if one.name == check and one.verdict != "ok")
        in_the_table(finding.detail[:42], finding)
        return finding

    def moved(self, **changes: object) -> None:
        """What it remembers of its head is changed."""
        membership = read_membership(self.paths.identity)
        assert membership is not None
        write_membership(self.paths.identity, replace(membership, **changes))  # type: ignore[arg-type]


@asynccontextmanager
async def a_member(root: Path) -> AsyncIterator[Member]:
    paths = joiner(root)
    install_engine(paths.engines, "llamacpp", "any")
    async with running_head(root / "head") as head:
        await joined(paths, *await head.token(), port=free_port())
        async with running_node(paths):
            await view_of(head, "mac", "ready")
            yield Member(paths, head)


@contextmanager
def dropping() -> Iterator[int]:
    """A port that answers nothing, as behind a firewall that drops: its queue of connections is full."""
    with listening(backlog=0) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(4):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.setblocking(False)
            client.connect_ex(address)
        yield int(address[1])


async def test_a_member_that_is_well_has_nothing_to_mend(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        found = await member.findings()
        alarms = await member.alarms()
    told = {one.name: one.detail for one in found}

    assert alarms == {}
    assert "knows this machine" in told["head"]
    assert told["services"] == "the node runs"
    assert told["nodes"] == "no head answers here, so other machines were not looked at"


async def test_a_head_that_is_out_of_reach_is_told_by_the_way_in_which_it_is(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member, running_head(tmp_path / "another") as another:
        place, _ = await another.token()
        told = {}
        for what, port in (("closed", free_ports(1)[0]), ("another", place.port)):
            member.moved(join_port=port)
            told[what] = await member.told("head")
            assert await member.alarms("head") == {}
        with dropping() as port:
            member.moved(join_port=port)
            told["dropped"] = await member.told("head")

    assert {finding.verdict for finding in told.values()} == {"fail"}
    assert "nobody listens at 127.0.0.1:" in told["closed"].detail
    assert told["closed"].fix == "on the head: potluck status; potluck up"
    assert "does not prove to be this cluster's head" in told["another"].detail
    assert "check the address, and the clocks" in told["another"].fix
    assert "a firewall drops what it is sent" in told["dropped"].detail
    assert "let TCP port" in told["dropped"].fix


async def test_a_machine_that_was_removed_is_told_how_to_come_back(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        await member.head.admin.remove_node("mac")
        told = await member.told("head")
        alarms = await member.alarms("head")

    assert told.verdict == "fail"
    assert "refuses this machine" in told.detail or "takes this machine's certificate for no good" in told.detail
    assert "potluck token create --node mac" in told.fix
    assert alarms == {}


async def test_a_head_whose_name_is_known_to_nobody(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        member.moved(head_host=UNKNOWN_HEAD)
        told = await member.told("names")
        alarms = await member.alarms("names", "head")

    assert (told.verdict, UNKNOWN_HEAD in told.detail, "/etc/hosts" in told.fix) == ("fail", True, True)
    assert alarms == {}


async def test_rays_port_that_a_firewall_keeps_closed_costs_a_link_and_is_a_warning(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        here = versions_here()
        with listening() as ray:
            write_order(
                member.paths, RayOrder("127.0.0.1", "127.0.0.1", ray.getsockname()[1], "t", here.python, here.ray)
            )
            before = await member.alarms()
        told = await member.told("ray")
        alarms = await member.alarms("ray")

    assert before == alarms == {}
    assert (told.verdict, "is not reached" in told.detail, "potluck firewall" in told.fix) == ("warn", True, True)


async def test_a_damaged_membership_is_a_machine_that_must_join_again(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        write_secret(membership_file(member.paths.identity), '{"cluster": "home"')
        told = await member.told("certificates")
        alarms = await member.alarms("certificates")

    assert (told.verdict, "membership.json cannot be read" in told.detail) == ("fail", True)
    assert "potluck join again" in told.fix
    assert alarms == {}


async def test_the_port_of_a_node_that_is_taken(tmp_path: Path) -> None:
    async with a_member(tmp_path) as member:
        pass
    with listening() as other:
        member.moved(listen_port=other.getsockname()[1])
        told = await member.told("ports")
        alarms = await member.alarms("ports", "services", "head")

    assert (told.verdict, "for this node" in told.detail) == ("fail", True)
    assert alarms == {}


def write_order(paths: StatePaths, order: RayOrder) -> None:
    write_secret(paths.secrets / "ray-order.json", msgspec.json.encode(order).decode())
