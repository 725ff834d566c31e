"""One machine's Ray from its state directory: token, files and places, and the families that its daemons run."""

import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path

from cluster.ray_settings import (
    RayNode,
    RayPlace,
    RayPorts,
    RayTls,
    bootstrap_stub,
    fits,
    head_command,
    raylet_command,
)
from inventory.paths import StatePaths
from inventory.secret_files import write_secret
from nodes.identity import IdentityFiles
from nodes.ray_process import RayRun


def ray_program() -> Path | None:
    """The `ray` command of this installation; None where it was installed without the extra `ray`."""
    program = Path(sys.executable).parent / "ray"
    return program if program.exists() else None


class RayMissingError(Exception):
    """Ray is not installed here. The service that wanted it prints this; links stay https."""

    def __init__(self) -> None:
        super().__init__("Ray is not installed here; run: pip install 'potluck[ray]', or set `ray: {enabled: false}`")


def required_program() -> Path:
    """Raises RayMissingError."""
    program = ray_program()
    if program is None:
        raise RayMissingError
    return program


def token_file(paths: StatePaths) -> Path:
    return paths.secrets / "ray-token"


def ensure_token(paths: StatePaths) -> Path:
    """The cluster's token for Ray, made by the head at its first start. Machines that join are given it."""
    file = token_file(paths)
    if not file.exists():
        write_secret(file, secrets.token_hex(32))
    return file


def bridge_socket(paths: StatePaths) -> Path:
    return paths.socket_dir / "ray.sock"


def place_of(paths: StatePaths, program: Path, ports: RayPorts, identity: IdentityFiles | None) -> RayPlace:
    """Where this machine's Ray lives. Without an identity there is no TLS, which only tests want."""
    tls = RayTls(str(identity.ca), str(identity.certificate), str(identity.key)) if identity else None
    root = paths.root / "ray"
    return RayPlace(
        program=str(program),
        home=str(root / "home"),
        temp_dir=str(_temp_dir(paths)),
        store=str(root / "gcs"),
        token_file=str(token_file(paths)),
        tls=tls,
        ports=ports,
    )


def head_run(paths: StatePaths, place: RayPlace, node: RayNode) -> RayRun:
    """Ray's head, for the head's process to supervise."""
    return RayRun(
        name="ray-head",
        command=head_command(place, node),
        home=Path(place.home),
        home_files=(("ray_bootstrap_config.yaml", bootstrap_stub()),),
        temp_dir=Path(place.temp_dir),
        store=Path(place.store),
        certificate=_certificate(place),
        lease_file=lease_file(paths, "ray-head"),
        log_file=paths.logs / "ray-head.log",
    )


def raylet_run(paths: StatePaths, place: RayPlace, node: RayNode, head_address: str) -> RayRun:
    """A raylet that joins the head, for a node's daemon to supervise."""
    return RayRun(
        name="raylet",
        command=raylet_command(place, node, head_address),
        home=Path(place.home),
        home_files=(("ray_bootstrap_config.yaml", bootstrap_stub()),),
        temp_dir=Path(place.temp_dir),
        store=None,
        certificate=_certificate(place),
        lease_file=lease_file(paths, "raylet"),
        log_file=paths.logs / "raylet.log",
    )


def lease_file(paths: StatePaths, name: str) -> Path:
    """Not among the engines' leases: a raylet is no engine."""
    return paths.run / f"{name}.lease"


def _certificate(place: RayPlace) -> Path | None:
    return Path(place.tls.certificate) if place.tls else None


def _temp_dir(paths: StatePaths) -> Path:
    """Below the state directory, or a private short directory where Ray's long socket names would not fit there."""
    below = paths.root / "ray" / "t"
    if fits(str(below)):
        return below
    digest = hashlib.sha256(os.fsencode(paths.root)).hexdigest()[:8]
    short = Path("/tmp") / f"potluck-ray-{os.getuid()}-{digest}"  # $TMPDIR of a Mac is long as well
    short.mkdir(mode=0o700, exist_ok=True)
    facts = short.lstat()
    if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077 or not stat.S_ISDIR(facts.st_mode):
        raise PermissionError(f"{short} is not private to this user; remove it and start again")
    return short
