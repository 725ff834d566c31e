"""What runs here, what should, and what a crash left behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil

from cli.checks.finding import Result, fail, ok, warn, word
from cli.checks.situation import Situation
from nodes.leases import Leased, leased
from nodes.process_identity import is_alive
from nodes.ray_process import FamilyName, lease_file, read_lease
from nodes.role_lock import RoleRecord, ServiceRole, last_holder
from nodes.unix_server import unix_client

ALL: tuple[ServiceRole, ...] = ("up", "node", "head", "gateway")
ANSWER_WITHIN_S = 5.0
STARTS_WITHIN_S = 30.0


def check_services(situation: Situation) -> Iterator[Result]:
    """All four roles run, or none; of a machine that has joined, the node. A part that runs alone is a crash's."""
    wanted: tuple[ServiceRole, ...] = ("node",) if situation.is_member else ALL
    start = _start(situation)
    alive = [role for role in wanted if role in situation.processes]
    if len(alive) == len(wanted):
        yield ok("the node runs" if situation.is_member else "supervisor, node, head and gateway run")
    elif alive:
        missing = ", ".join(role for role in wanted if role not in alive)
        yield warn(f"runs: {', '.join(alive)}; does not: {missing}", start)
    else:
        yield warn("nothing runs", start)


def check_answers(situation: Situation) -> Iterator[Result]:
    """A process that holds its role and says nothing hangs, or was stopped by somebody."""
    now_s = situation.sources.clock.wall_s()
    silent = [(role, why) for role, why in asyncio.run(_asked(situation)) if why]
    for role, why in silent:
        pid = situation.processes[role]
        if _age_s(pid, now_s) < STARTS_WITHIN_S:
            yield ok(f"the {role} (process {pid}) is starting")
            continue
        told = f"the {role} is there (process {pid}) and does not answer: {why}"
        fix = f"potluck down; {_start(situation)}; {situation.paths.logs}/{role}.log says what it did last"
        yield fail(told, fix)
    if situation.processes and not silent:
        yield ok("what runs answers")


def check_leftovers(situation: Situation) -> Iterator[Result]:
    """Engines without a daemon hold their memory for nobody; sockets without a process tell of a crash."""
    found = [*_engines(situation), *_ray(situation), *_crashed(situation)]
    yield from found
    if not found and situation.paths.run.exists():
        yield ok("nothing is left of earlier runs")


def _engines(situation: Situation) -> Iterator[Result]:
    if "node" in situation.processes:
        return  # it looks after them
    for lease in leased(situation.paths.leases):
        yield _orphan(lease, situation.paths.leases / f"{lease.engine_id}.json")


def _ray(situation: Situation) -> Iterator[Result]:
    owners: tuple[tuple[FamilyName, ServiceRole], ...] = (("ray-head", "head"), ("raylet", "node"))
    for family, role in owners:
        lease = read_lease(lease_file(situation.paths, family))
        if lease is not None and role not in situation.processes and is_alive(lease.identity):
            told = f"Ray's {family} (process {lease.pid}) runs, and the {role} that looks after it does not"
            yield warn(told, f"{_start(situation)} takes it over, potluck down ends it")


def _orphan(lease: Leased, file: Path) -> Result:
    if lease.alive is None:
        return warn(f"the lease of engine {lease.engine_id} cannot be read", f"rm {word(file)}")
    if lease.alive:
        told = f"engine {lease.engine_id} (process {lease.pid}) runs and holds its memory, and no daemon looks after it"
        return warn(told, "potluck up takes it over, potluck down ends it")
    return warn(f"engine {lease.engine_id} is on record as process {lease.pid}, which is gone", "potluck down")


def _crashed(situation: Situation) -> Iterator[Result]:
    """A service that ends in order removes its socket."""
    paths = situation.paths
    sockets: tuple[tuple[ServiceRole, Path], ...] = (("head", paths.head_socket), ("node", paths.node_socket))
    for role, socket in sockets:
        if role not in situation.processes and socket.is_socket():
            record = last_holder(paths.run, role)
            who = f" (process {record.pid})" if record is not None else ""
            log = f"{paths.logs}/{role}.log"
            told = f"the {role}{who} ended without saying goodbye, as after a crash, a kill or a power cut"
            yield warn(told, f"{_start(situation)}; {log} says what it did last")


def _start(situation: Situation) -> str:
    return "potluck node" if situation.is_member else "potluck up"


def _age_s(pid: int, now_s: float) -> float:
    """0 for one that has ended meanwhile."""
    try:
        return now_s - psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


async def _asked(situation: Situation) -> list[tuple[ServiceRole, str]]:
    """Each role that runs here, and why it does not answer; "" where it does."""
    paths, processes = situation.paths, situation.processes
    asked: list[tuple[ServiceRole, str]] = []
    if "head" in processes:
        asked.append(("head", situation.head_silence))
    async with asyncio.TaskGroup() as tasks:
        node = tasks.create_task(_silence_of_node(paths.node_socket)) if "node" in processes else None
        gateway = tasks.create_task(_silence_of_gateway(last_holder(paths.run, "gateway")))
    if node is not None:
        asked.append(("node", node.result()))
    if "gateway" in processes:
        asked.append(("gateway", gateway.result()))
    return asked


async def _silence_of_node(socket: Path) -> str:
    import httpx2

    try:
        async with unix_client(socket, ANSWER_WITHIN_S) as client:
            await client.get("/node/v1/protocol")
    except httpx2.TransportError as error:
        return str(error) or type(error).__name__
    return ""


async def _silence_of_gateway(record: RoleRecord | None) -> str:
    """ "" also for one that has not said yet where it listens."""
    import httpx2

    if record is None or record.endpoint is None:
        return ""
    try:
        async with httpx2.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False) as client:
            await client.get(f"{record.endpoint.removesuffix('/v1')}/healthz")
    except httpx2.TransportError as error:
        return str(error) or type(error).__name__
    return ""
