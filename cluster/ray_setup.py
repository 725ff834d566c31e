"""One machine's Ray from its state directory: token, files and places, and the families that its daemons run."""

import hashlib
import os
import secrets
import stat
import sys
from dataclasses import replace
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
from inventory.secret_files import read_secret, write_secret
from nodes import ray_own_machine
from nodes.engines.base import Command
from nodes.identity import IdentityFiles
from nodes.ray_process import RayRun, RayUnfitError, lease_file
from nodes.sealing.place import ENGINE_FILE, guard_text, sealed_variables


def ray_program() -> Path | None:
    """The `ray` command of this installation; None where it was installed without the extra `ray`."""
    program = Path(sys.executable).parent / "ray"
    return program if program.exists() else None


def required_program() -> Path:
    """Raises RayUnfitError."""
    program = ray_program()
    if program is None:
        raise RayUnfitError("Ray is not installed here; run: pip install 'ray>=2.60', or set `ray: {enabled: false}`")
    return program


def ensure_token(paths: StatePaths) -> str:
    """The cluster's token for Ray, made by the head at its first start. Machines that join are given it."""
    if not paths.ray_token.exists():
        renew_token(paths)
    return read_secret(paths.ray_token)


def renew_token(paths: StatePaths) -> None:
    """Whoever knew the one before is out as soon as Ray has started again with this one, which it does by itself."""
    write_secret(paths.ray_token, secrets.token_hex(32))


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
        token_file=str(paths.ray_token),
        tls=tls,
        ports=ports,
    )


def head_run(paths: StatePaths, place: RayPlace, node: RayNode) -> RayRun:
    """Ray's head, for the head's process to supervise."""
    return RayRun(
        name="ray-head",
        command=_sealed(head_command(place, node)),
        home=Path(place.home),
        home_files=_home_files(),
        temp_dir=Path(place.temp_dir),
        store=Path(place.store),
        proofs=_proofs(place),
        lease_file=lease_file(paths, "ray-head"),
        log_file=paths.logs / "ray-head.log",
    )


def raylet_run(paths: StatePaths, place: RayPlace, node: RayNode, head_address: str) -> RayRun:
    """A raylet that joins the head, for a node's daemon to supervise."""
    return RayRun(
        name="raylet",
        command=_sealed(raylet_command(place, node, head_address)),
        home=Path(place.home),
        home_files=_home_files(),
        temp_dir=Path(place.temp_dir),
        store=None,
        proofs=_proofs(place),
        lease_file=lease_file(paths, "raylet"),
        log_file=paths.logs / "raylet.log",
    )


def _home_files() -> tuple[tuple[str, str], ...]:
    return (
        ("ray_bootstrap_config.yaml", bootstrap_stub()),
        ("sitecustomize.py", Path(ray_own_machine.__file__).read_text()),
        (ENGINE_FILE, guard_text()),
    )


def _sealed(command: Command) -> Command:
    """What is told here is part of the family's mark: a machine that is sealed, or no longer, starts another one."""
    return replace(command, environment=(*command.environment, *sealed_variables()))


def _proofs(place: RayPlace) -> tuple[Path, ...]:
    return (Path(place.token_file), *((Path(place.tls.certificate),) if place.tls else ()))


def _temp_dir(paths: StatePaths) -> Path:
    """Below the state directory, or below a private short one where Ray's long socket names would not fit there.

    Ray opens its directory to everybody on the machine, so one that is closed lies around it.
    """
    below = paths.root / "ray" / "t"
    if fits(str(below)):
        return below
    digest = hashlib.sha256(os.fsencode(paths.root)).hexdigest()[:8]
    short = Path("/tmp") / f"potluck-ray-{os.getuid()}-{digest}"  # $TMPDIR of a Mac is long as well
    short.mkdir(mode=0o700, exist_ok=True)
    facts = short.lstat()
    if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077 or not stat.S_ISDIR(facts.st_mode):
        raise PermissionError(f"{short} is not private to this user; remove it and start again")
    return short / "t"
