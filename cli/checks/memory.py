"""Main memory: what models may have of it, who else holds it, and what a container leaves of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from cli.checks.finding import Result, ok, warn
from cli.checks.situation import Situation
from cli.prepare import NotPreparedError, this_node
from cli.wire import model_store
from inventory.cgroup import memory_limit
from inventory.hardware import Hardware, MemoryPool
from inventory.host_memory import with_descendants
from inventory.memory_state import read_memory_state
from inventory.probe import survey
from inventory.probe_apple import AppleProbe
from inventory.probe_host import HostProbe
from inventory.probe_nvidia import NvidiaProbe
from inventory.sizes import format_bytes
from nodes.leases import leased
from nodes.pressure import read

LARGE_HOLDERS, LEAST_HELD_BYTES = 3, 64 << 20
END_THEM = "end programs that are not needed; models get what is left at once"


def check_memory(situation: Situation) -> Iterator[Result]:
    """The pools that models share with everything else, and whether the configured ones fit into what is left."""
    reserve = _reserve(situation)
    sources, models = situation.sources, situation.paths.models
    main = (HostProbe(models, reserve, sources.root), AppleProbe(reserve, sources.ask_sysctl))
    gpus = NvidiaProbe(reserve, sources.load_nvml, sources.root)  # its warnings are told by the check of GPUs
    own = own_processes(situation)
    hardware = survey((*main, gpus), own)
    for warning in survey(main, own).warnings:
        yield warn(warning, "the figures are estimates; run potluck doctor as the user that runs potluck")
    level, reason = read(read_memory_state(sources.root), _first(hardware.pools).reserved_bytes)
    if level != "calm":
        yield warn(f"{reason}; much of it is with {_holders(situation)}", END_THEM)
    yield from _crowded(situation, hardware)
    yield ok("; ".join(_words(pool) for pool in hardware.pools))


def check_container(situation: Situation) -> Iterator[Result]:
    """A limit around this process, where it is a small part of the machine."""
    limit, total = memory_limit(situation.sources.root), psutil.virtual_memory().total
    if limit is None or limit.total_bytes >= total:
        return
    told = f"the container around this process may use {format_bytes(limit.total_bytes)} of {format_bytes(total)}"
    if limit.total_bytes * 2 > total:
        yield ok(told)
    else:
        yield warn(told, "if models should have more: docker run --memory SIZE, or MemoryMax= of the service")


def check_pressure(situation: Situation) -> Iterator[Result]:
    """How short of memory the cluster's machines say they are."""
    for node in situation.snapshot.nodes if situation.snapshot is not None else ():
        pressure = node.snapshot.pressure if node.snapshot is not None else None
        if pressure is not None and pressure.level in ("short", "critical"):
            yield warn(
                f"{node.node_id} is {pressure.level} of memory: {pressure.reason}", f"on {node.node_id}: {END_THEM}"
            )


def own_processes(situation: Situation) -> frozenset[int]:
    """Engines, by their leases, and what they have started."""
    return with_descendants(frozenset(one.pid for one in leased(situation.paths.leases) if one.alive))


def process_words(pid: int, held_bytes: int | None) -> str:
    name = "a process"
    with suppress(psutil.Error):
        name = psutil.Process(pid).name()
    return f"{name} ({pid}{f', {format_bytes(held_bytes)}' if held_bytes is not None else ''})"


def _crowded(situation: Situation, hardware: Hardware) -> Iterator[Result]:
    """Models of cluster.yaml that are in the store, do not run here, and are larger than what is left for them."""
    wanted = _wanted(situation)
    running = {one.engine_id for one in leased(situation.paths.leases) if one.alive}
    held = model_store(situation.paths).held() if situation.paths.models.exists() else ()
    smallest: dict[str, int] = {}
    for model in held:
        name = str(model.ref.name)
        smallest[name] = min(model.size_bytes, smallest.get(name, model.size_bytes))
    budgets = [pool.budget_bytes for pool in hardware.pools if pool.budget_bytes is not None]
    most = max((pool.total_bytes - pool.reserved_bytes for pool in hardware.pools), default=0)
    for name, size in smallest.items():
        if name not in wanted or not budgets or any(engine.startswith(f"{name}.") for engine in running):
            continue
        told = f"{name} takes {format_bytes(size)} for its weights alone"
        if size > most:
            yield warn(f"{told}, more than this machine can ever give ({format_bytes(most)})", f"potluck fit {name}")
        elif size > max(budgets):
            left = f"{format_bytes(max(budgets))} are left beside other programs: {_holders(situation)}"
            yield warn(f"{told}, and {left}", END_THEM)


def _wanted(situation: Situation) -> frozenset[str]:
    """Models that cluster.yaml lets run here."""
    config = situation.config
    if config is None:
        return frozenset()
    try:
        name = this_node(situation.paths, config)
    except NotPreparedError:
        return frozenset()
    here = (model for model, section in config.models.items() if not section.on or name in section.on)
    return frozenset(here)


def _holders(situation: Situation) -> str:
    """The programs that hold most, without potluck's own; in a container with a limit, of those inside."""
    own = {os.getpid(), *own_processes(situation), *with_descendants(frozenset(situation.processes.values()))}
    root = situation.sources.root
    inside = _group("self", root) if memory_limit(root) is not None else None
    found: list[tuple[int, int]] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in own and (inside is None or _group(str(process.pid), root) == inside):
                found.append((process.memory_info().rss, process.pid))
    large = [one for one in sorted(found, reverse=True)[:LARGE_HOLDERS] if one[0] >= LEAST_HELD_BYTES]
    return ", ".join(process_words(pid, size) for size, pid in large) or "many small programs"


def _group(process: str, root: Path) -> str:
    try:
        return (root / "proc" / process / "cgroup").read_text()
    except OSError:  # it has ended, or this is no Linux
        return ""


def _reserve(situation: Situation) -> int | None:
    config = situation.config
    if config is None:
        return None
    try:
        section = config.nodes.get(this_node(situation.paths, config))
    except NotPreparedError:
        return None
    return section.memory.reserve if section is not None else None


def _first(pools: Sequence[MemoryPool]) -> MemoryPool:
    """Main memory: every machine has it."""
    return next(pool for pool in pools if pool.kind != "vram")


def _words(pool: MemoryPool) -> str:
    budget = "unknown" if pool.budget_bytes is None else format_bytes(pool.budget_bytes)
    return f"{pool.pool_id}: {budget} of {format_bytes(pool.total_bytes)} for models"
