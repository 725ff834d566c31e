import shutil
import stat
from pathlib import Path

import pytest

from cluster.ray_settings import RayNode, RayPorts, fits
from cluster.ray_setup import ensure_token, head_run, place_of, raylet_run, renew_token
from inventory.paths import StatePaths
from nodes.identity import IdentityFiles
from nodes.snapshot import NodeId

PROGRAM = Path("/v/bin/ray")
NODE = RayNode(NodeId("box"), "10.77.0.2", (), "/s")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "s").ensure()


def test_the_token_is_made_once_and_for_its_owner_alone(paths: StatePaths) -> None:
    first = ensure_token(paths)

    assert len(first) == 64
    assert ensure_token(paths) == first
    assert stat.S_IMODE(paths.ray_token.stat().st_mode) == 0o600
    renew_token(paths)
    assert ensure_token(paths) != first


def test_a_short_state_directory_holds_everything_of_ray() -> None:
    place = place_of(StatePaths.at(Path("/var/lib/potluck")), PROGRAM, RayPorts(), None)

    assert place.temp_dir == "/var/lib/potluck/ray/t"
    assert place.home == "/var/lib/potluck/ray/home"


def test_a_deep_state_directory_leaves_rays_sockets_a_short_private_one(tmp_path: Path) -> None:
    deep = StatePaths.at(tmp_path / ("d" * 60))
    place = place_of(deep, PROGRAM, RayPorts(), None)
    try:
        assert fits(place.temp_dir)
        around = Path(place.temp_dir).parent
        assert stat.S_IMODE(around.stat().st_mode) == 0o700
        assert place_of(deep, PROGRAM, RayPorts(), None) == place

        around.chmod(0o755)
        with pytest.raises(PermissionError, match="not private"):
            place_of(deep, PROGRAM, RayPorts(), None)
    finally:
        shutil.rmtree(Path(place.temp_dir).parent)


def test_head_and_raylet_watch_the_proofs_they_were_started_with(paths: StatePaths) -> None:
    identity = IdentityFiles.at(paths.identity, "node")
    place = place_of(paths, PROGRAM, RayPorts(), identity)
    head, raylet = head_run(paths, place, NODE), raylet_run(paths, place, NODE, "10.77.0.1")

    assert head.proofs == raylet.proofs == (paths.ray_token, identity.certificate)
    assert head.lease_file != raylet.lease_file
    assert (head.store is None, raylet.store is None) == (False, True)
    try:
        assert fits(place.temp_dir)
    finally:
        shutil.rmtree(Path(place.temp_dir).parent, ignore_errors=True)
