import asyncio
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.api_wire import RayOrder
from nodes.ray_member import RayMember, read_order
from nodes.ray_process import RayRun, lease_file, read_lease
from nodes.ray_versions import Versions, versions_here, why_apart
from support.nodes import until
from support.ray_families import a_run

HEAD = Versions("3.11.9", "2.60.0")
pytest.importorskip("ray")


def order(token: str = "first") -> RayOrder:
    return RayOrder("10.77.0.1", "10.77.0.2", 8410, token, platform.python_version(), version("ray"))


class Machine:
    def __init__(self, root: Path) -> None:
        self.paths = StatePaths.at(root / "s").ensure()
        self.member = RayMember(self.paths, self.raylet, SystemClock())

    def raylet(self, ordered: RayOrder) -> RayRun:
        run = replace(a_run(self.paths.root), lease_file=lease_file(self.paths, "raylet"))
        command = replace(run.command, environment=(*run.command.environment, ("HEAD", ordered.head_host)))
        return replace(run, command=command, proofs=(self.paths.ray_token,))

    def leader(self) -> int | None:
        lease = read_lease(lease_file(self.paths, "raylet"))
        return lease.pid if lease else None


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Versions("3.11.2", "2.60.0"), ""),
        (Versions("3.12.1", "2.60.0"), "one minor version"),
        (Versions("3.11.9", "2.61.0"), "Ray wants one version"),
        (Versions("3.11.9", ""), "not installed there"),
    ],
)
def test_ray_joins_its_own_version_and_one_minor_of_python(machine: Versions, reason: str) -> None:
    assert reason in why_apart(machine, HEAD)
    assert bool(reason) == bool(why_apart(machine, HEAD))


def test_a_head_without_ray_is_named_as_the_one_that_lacks_it() -> None:
    assert "on the head" in why_apart(HEAD, replace(HEAD, ray=""))


async def test_an_order_starts_the_raylet_and_another_token_another_raylet(tmp_path: Path) -> None:
    machine, stop = Machine(tmp_path), asyncio.Event()
    running = asyncio.create_task(machine.member.run(stop))
    assert machine.member.follow(order()).takes_part
    first = await until(machine.leader, "the raylet runs")
    assert machine.member.follow(order()).takes_part
    assert machine.paths.ray_token.read_text() == "first"

    machine.member.follow(order("second"))
    await until(lambda: machine.leader() not in (None, first), "another raylet")
    assert machine.paths.ray_token.read_text() == "second"
    assert not machine.member.follow(None).takes_part
    await until(lambda: machine.leader() is None, "no raylet")
    stop.set()
    await running


async def test_a_daemon_that_starts_again_goes_on_as_it_was_ordered(tmp_path: Path) -> None:
    Machine(tmp_path).member.follow(order())
    again, stop = Machine(tmp_path), asyncio.Event()
    running = asyncio.create_task(again.member.run(stop))
    await until(again.leader, "the raylet runs")
    stop.set()
    await running

    assert again.leader() is None
    assert read_order(again.paths) == order()


async def test_an_upgrade_that_parts_it_from_the_head_ends_what_still_ran(tmp_path: Path) -> None:
    machine, stop = Machine(tmp_path), asyncio.Event()
    running = asyncio.create_task(machine.member.run(stop))
    machine.member.follow(order())
    await until(machine.leader, "the raylet runs")
    standing = machine.member.follow(replace(order(), ray="1.0.0"))
    await until(lambda: machine.leader() is None, "the raylet has ended")
    stop.set()
    await running

    assert not standing.takes_part
    assert f"Ray {versions_here().ray} there" in standing.reason
