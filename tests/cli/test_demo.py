"""The demo as it is laid out and composed: nothing of it is real where it says so, and nobody gets in or out."""

import asyncio
import socket
from pathlib import Path

import pytest

from cli import demo, wire_demo
from cluster.admin_client import AdminRefusedError
from cluster.demo import DEMO_TEXT, artifacts_for, demo_config
from cluster.desired import desired_state
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.service import HeadSettings
from inventory.demo_machines import DEMO_MACHINES, MAC_STUDIO
from inventory.described import NOTICE
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.client import NodeClient
from nodes.engine_envs import installed
from nodes.membership import Membership, write_membership
from nodes.service import run_node
from nodes.snapshot import NodeId
from support.command_here import potluck
from support.demo import demo_nodes
from support.heads import running_head
from support.nodes import until


@pytest.fixture(autouse=True)
def real_engines_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory of engines that is shared with real clusters, as an operator may have one."""
    shared = tmp_path / "shared-engines"
    monkeypatch.setenv("POTLUCK_ENGINES_DIR", str(shared))
    return shared


def laid_out(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "demo")
    wire_demo.lay_out(paths)
    return paths


def test_every_model_of_the_demo_has_its_place_and_the_one_that_sleeps_would_have_one(tmp_path: Path) -> None:
    desired = desired_state(demo_config().config, 1)
    candidates = []
    for node in demo_nodes(StatePaths.at(tmp_path)):
        wanted = desired.node(node.node_id)
        assert wanted is not None
        candidates.append(Candidate(wanted, node.snapshot))
    placement = place(desired.models, candidates, True)

    assert placement.unplaced == ()
    assert {(one.spec.model.name, one.node_id) for one in placement.assignments} == {
        ("qwen3-235b-a22b", "mac-studio"), ("qwen3-32b", "mac-studio"), ("qwen3-14b", "mac-studio"),
        ("qwen3-14b", "rtx4090"), ("qwen3-4b", "poweredge"), ("bge-m3", "poweredge"),
    }  # fmt: skip


def test_three_machines_are_laid_out_each_with_its_engine_and_models_and_shared_engines_are_left_alone(
    tmp_path: Path, real_engines_elsewhere: Path
) -> None:
    paths = laid_out(tmp_path)

    for machine in DEMO_MACHINES:
        own = wire_demo.machine_paths(paths, machine)
        (kind,) = wire_demo.section_of(machine).engines
        (engine,) = installed(own.engines)
        held = {(one.name, one.format) for one in artifacts_for(kind)}
        names = {path.name for path in (own.models / "names").iterdir()}
        assert (engine.kind, engine.version, len(names)) == (kind, "simulated", len(held))
        assert own.root == paths.root or own.root.is_relative_to(paths.root / "machines")
        assert list((own.models / "blobs").iterdir()) == []
    assert not real_engines_elsewhere.exists()


def test_a_second_layout_never_replaces_what_an_engine_may_run_from(tmp_path: Path) -> None:
    paths = laid_out(tmp_path)

    with pytest.raises(FileExistsError):
        wire_demo.lay_out(paths)


def test_only_a_demo_is_ever_deleted(tmp_path: Path) -> None:
    real = StatePaths.at(tmp_path / "real").ensure()
    paths = laid_out(tmp_path)

    with pytest.raises(demo.NotADemoError, match="holds no demo"):
        demo.clear(real)
    assert demo.clear(paths) == []
    assert real.root.exists() and not paths.root.exists()


def test_commands_find_the_demo_from_outside_and_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTLUCK_STATE_DIR", str(tmp_path))
    paths = laid_out(tmp_path)

    assert demo.place_of(tmp_path).root == demo.place_of(paths.root).root == paths.root


def test_a_demo_takes_no_configuration_of_anybody(tmp_path: Path) -> None:
    said = potluck("up", StatePaths.at(tmp_path), "--demo", "--install", expect=2)

    assert "a demo has its own configuration" in said.stderr
    assert not (tmp_path / "demo").exists()


def test_in_its_own_directory_every_start_and_stop_is_the_demos(tmp_path: Path) -> None:
    """No real node begins among simulated engines, and none of its machines is forgotten."""
    paths = laid_out(tmp_path)

    assert "a demo has its own configuration" in potluck("up", paths, "--install", expect=2).stderr
    potluck("down", paths)
    assert not paths.root.exists()


def test_nothing_to_stop_is_no_error_and_names_what_may_be_meant(tmp_path: Path) -> None:
    outside = StatePaths.at(tmp_path)

    assert potluck("down", outside, "--demo").stderr == "nothing was running\n"
    paths = laid_out(tmp_path)
    assert "potluck down --demo" in potluck("down", outside).stderr
    assert paths.root.exists()


def test_none_of_its_machines_joins_a_real_cluster(tmp_path: Path) -> None:
    """It would report models that it cannot give to anybody."""
    said = potluck("join", laid_out(tmp_path), "--token", "pj1_whatever", expect=1)

    assert "of a demo, whose machines join nothing" in said.stderr


async def test_its_head_lets_nobody_join_whatever_its_configuration_says(tmp_path: Path) -> None:
    paths = StatePaths.at(tmp_path / "demo").ensure()
    write_secret(paths.config_file, DEMO_TEXT.replace("cluster: {", "cluster: {listen: 127.0.0.1, ", 1))
    async with running_head(HeadSettings(paths, loopback_only=True), demo_nodes(paths)) as head:
        with pytest.raises(AdminRefusedError, match="loopback only") as refused:
            await head.create_token("intruder", 60)

    assert refused.value.code == "lan_off"
    assert not paths.ca.exists()


async def test_its_nodes_report_what_is_described_and_never_listen_for_others(tmp_path: Path) -> None:
    """Not even one whose directory says that it has joined a cluster. Without certificates, a real one would fail."""
    paths = laid_out(tmp_path)
    own = wire_demo.machine_paths(paths, MAC_STUDIO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    own.identity.mkdir()
    write_membership(
        own.identity, Membership("home", NodeId("mac-studio"), "127.0.0.1", 1, "127.0.0.1", "127.0.0.1", port)
    )
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_node(wire_demo.node_settings(paths, MAC_STUDIO), stop))
        await until(own.node_socket.exists, "the node serves")
        told = await NodeClient(own.node_socket).observe()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        stop.set()

    assert told.hardware.accelerators[0].name == "Apple M3 Ultra (simulated)"
    assert NOTICE in told.hardware.warnings
    assert [engine.version for engine in told.installed] == ["simulated"]
    assert {model.ref.revision for model in told.models} == {"simulated"}
    assert told.pressure is not None and told.pressure.level == "calm"


def test_its_gateway_opens_no_door_to_a_network(tmp_path: Path) -> None:
    paths = laid_out(tmp_path)
    lan = "gateway: {lan: {listen: 0.0.0.0, certificate: /x/cert.pem, key: /x/key.pem}, "
    write_secret(paths.config_file, DEMO_TEXT.replace("gateway: {", lan, 1))

    assert wire_demo.door_of(paths, None, 0).lan is None
    assert wire_demo.door_of(paths, None, 0).host == "127.0.0.1"


@pytest.mark.parametrize("words", [("up", "--demo"), ("gateway",)])
def test_no_option_opens_a_plain_endpoint_to_a_network(tmp_path: Path, words: tuple[str, ...]) -> None:
    (command, *more) = words
    said = potluck(command, StatePaths.at(tmp_path), *more, "--host", "0.0.0.0", expect=2)

    assert "0.0.0.0" in said.stderr and "loopback" in said.stderr
