"""Real Ray on three hosts that are network namespaces: who is in it, who is kept out, and what happens when it dies."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from cluster.jobs import JobPart, decode_checks
from cluster.link import LinkError
from cluster.ray_jobs import RayJobs
from cluster.ray_link import RayLink
from cluster.ray_settings import RayPorts
from nodes.snapshot import NodeId
from support import ray_attack
from support.hosts import Host, Lan, a_lan
from support.machine import eventually
from support.nodes import until
from support.ray_default import default_ray, start_default_head
from support.ray_hosts import RayCluster, RayHost

pytest.importorskip("ray")
pytestmark = pytest.mark.e2e
DRIVER_ATTACK = Path(ray_attack.__file__).with_name("ray_driver_attack.py")
NODES = ("head", "one", "two")


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with a_lan() as lan:
        yield lan


@pytest.fixture(scope="module")
def cluster(lan: Lan) -> RayCluster:
    cluster = RayCluster(lan, *NODES)
    cluster.start()
    return cluster


async def until_all_reached(cluster: RayCluster) -> None:
    """Every node's daemon answers through Ray, by its own name."""
    end = monotonic() + 60
    while (answers := [await answer_of(cluster, node) for node in NODES]) != list(NODES):
        assert monotonic() < end, "\n".join([*answers, cluster.logs()])
        await asyncio.sleep(0.2)


async def answer_of(cluster: RayCluster, node: str) -> str:
    try:
        return (await RayLink(NodeId(node), cluster.bridge, None).observe()).node_id
    except LinkError as error:
        return error.reason


def raylets(cluster: RayCluster) -> set[int]:
    """Of the machines that are not the head's."""
    joined = [process for name in NODES[1:] for process in cluster.hosts[name].host.processes()]
    return {process.pid for process in joined if process.name() == "raylet"}


def attack(stranger: Host, victim: Host, marker: Path) -> str:
    """Post a job to each open port of the victim, from another machine. Returns what the ports said."""
    ports = [str(port) for port in sorted(victim.open_ports())]
    assert ports, f"nothing listens on {victim.name}"
    return stranger.run(sys.executable, ray_attack.__file__, victim.address, marker, *ports, timeout_s=300).stdout


def leftovers(machine: RayHost) -> list[str]:
    return [" ".join(process.cmdline())[:100] for process in machine.host.processes()]


def test_ray_status_shows_every_node_with_its_resources_to_who_has_the_token(cluster: RayCluster) -> None:
    allowed, refused = cluster.head.status(), cluster.head.status(with_token=False)

    assert allowed.stdout.count("\nNode:") == len(NODES), allowed.stdout + allowed.stderr
    assert f"/{len(NODES):.1f} engine:llamacpp" in allowed.stdout
    assert refused.returncode != 0
    assert "engine:" not in refused.stdout


async def test_a_link_through_ray_reaches_the_daemon_of_each_node(cluster: RayCluster) -> None:
    await until_all_reached(cluster)


async def test_models_are_verified_as_tasks_on_the_nodes_that_hold_them(cluster: RayCluster) -> None:
    parts = [JobPart(NodeId(name)) for name in (*NODES, "elsewhere")]
    *outcomes, unknown = await RayJobs(cluster.bridge).run("verify_models", parts)

    assert [decode_checks(outcome.answer or b"") for outcome in outcomes] == [(), (), ()]
    assert unknown.error is not None
    assert "no raylet" in unknown.error


def test_every_port_refuses_a_strangers_job(cluster: RayCluster, lan: Lan, tmp_path: Path) -> None:
    stranger, marker = lan.hosts.get("stranger") or lan.host("stranger"), lan.hosts["head"].root / "ran"
    documented = [port for first, last in RayPorts().ranges for port in range(first, last + 1)]
    for machine in cluster.hosts.values():
        assert set(machine.host.open_ports()) <= set(documented), machine.host.open_ports()
        attack(stranger, machine.host, marker)
    gcs = f"{cluster.head.head_address}:{RayPorts().gcs}"
    driver = stranger.run(sys.executable, DRIVER_ATTACK, gcs, marker, stranger.address, expect=None, timeout_s=60)

    assert not marker.exists()
    assert driver.returncode in (0, -signal.SIGALRM), driver.stderr
    assert not driver.stdout.startswith("ran"), driver.stdout


def test_the_same_attack_runs_code_on_a_default_head(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = default_ray()
    with a_lan() as lan:
        victim, stranger = lan.host("victim", visible=[program.parents[1]]), lan.host("stranger")
        marker = victim.root / "ran"
        start_default_head(victim, program)
        said = attack(stranger, victim, marker)

        eventually(marker.exists, 30, f"the job of a stranger ran; the ports said:\n{said}")


async def test_a_head_that_is_killed_comes_back_with_every_agent_and_no_help(cluster: RayCluster) -> None:
    head = cluster.head.host
    (gcs,) = [process for process in head.processes() if process.name() == "gcs_server"]
    waiting = raylets(cluster)
    (bridge,) = [process for process in head.processes() if "ray-bridge" in process.cmdline()]
    gcs.kill()
    await until(lambda: not bridge.is_running(), "the bridge, Ray's fuse, has died", 60)

    await until_all_reached(cluster)

    assert raylets(cluster) == waiting, "the other machines' raylets waited for their head"


def test_a_daemon_that_stops_leaves_no_process_of_ray_behind(cluster: RayCluster) -> None:
    for machine in cluster.hosts.values():
        assert machine.family is not None
        assert machine.daemon is not None
        machine.family.terminate()
        machine.daemon.terminate()
    for machine in cluster.hosts.values():
        assert machine.family is not None
        assert machine.daemon is not None
        machine.family.wait(30)
        machine.daemon.wait(30)

    assert [leftovers(machine) for machine in cluster.hosts.values()] == [[], [], []]
