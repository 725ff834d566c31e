"""What the last snapshot of the cluster says, as Prometheus metrics. Base units; labels are names of nodes, models and
engines, and closed sets. The three signals of the Gateway API's inference protocol are those of engines: requests that
run, requests that wait, and how full the KV cache is.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from cluster.capacity import capacity_tokens, free_tokens
from cluster.snapshot import ClusterSnapshot, ModelState, NodeState, NodeView
from inventory.hardware import MemoryPool
from nodes.snapshot import EngineSnapshot, EngineState, NodeSnapshot, PressureLevel

Value = tuple[Sequence[str], float | int | None]


def cluster_metrics(snapshot: ClusterSnapshot) -> Iterable[Metric]:
    nodes = [(node, node.snapshot) for node in snapshot.nodes if node.snapshot is not None]
    yield from _of_nodes(snapshot)
    yield from _of_hardware([(node.node_id, told) for node, told in nodes])
    yield from _of_accelerators([(node.node_id, told) for node, told in nodes])
    yield from _of_engines([(node.node_id, engine) for node, told in nodes for engine in told.engines])
    yield _gauge(
        "potluck_model_state", "1 for the state a model is in.", ("model", "state"),
        (((model.name, state), model.state == state) for model in snapshot.models for state in get_args(ModelState)),
    )  # fmt: skip
    yield _gauge(
        "potluck_model_copy_bytes", "Of an artifact on its way to a node.", ("node", "model", "kind"),
        (
            ((node.node_id, pull.name, kind), size)
            for node, told in nodes for pull in told.pulls
            for kind, size in (("done", pull.done_bytes), ("total", pull.total_bytes))
        ),
    )  # fmt: skip
    yield _gauge("potluck_config_revision", "Of cluster.yaml, in force.", (), [((), snapshot.config_revision)])
    build = InfoMetricFamily("potluck_build", "Of this gateway.")
    build.add_metric((), {"version": version("potluck")})
    yield build


def _of_nodes(snapshot: ClusterSnapshot) -> Iterator[Metric]:
    nodes = snapshot.nodes
    yield _gauge(
        "potluck_node_up", "1 while the controller counts the node as ready.", ("node",),
        (((node.node_id,), node.state == "ready") for node in nodes),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_state", "1 for the state a node is in.", ("node", "state"),
        (((node.node_id, state), node.state == state) for node in nodes for state in get_args(NodeState)),
    )  # fmt: skip
    info = InfoMetricFamily("potluck_node", "What a node is.", labels=("node",))
    for node in nodes:
        if node.snapshot is not None:
            info.add_metric((node.node_id,), _facts(node, node.snapshot))
    yield info


def _facts(node: NodeView, told: NodeSnapshot) -> dict[str, str]:
    host = told.hardware.host
    kinds = sorted(f"{one.kind} {one.version}" for one in told.installed)
    names = ", ".join(accelerator.name for accelerator in told.hardware.accelerators)
    return {
        "os": host.os, "arch": host.arch, "link": node.link, "zone": told.zone, "accelerators": names,
        "engines": ", ".join(kinds),
    }  # fmt: skip


def _of_hardware(nodes: Sequence[tuple[str, NodeSnapshot]]) -> Iterator[Metric]:
    pools = [(node, pool, told.engines) for node, told in nodes for pool in told.hardware.pools]
    yield _gauge(
        "potluck_node_memory_bytes", "Of a pool: what engines and others hold, what is kept free, and its size.",
        ("node", "pool", "kind"),
        (
            ((node, pool.pool_id, kind), size)
            for node, pool, engines in pools
            for kind, size in (
                ("total", pool.total_bytes), ("other", pool.used_by_others_bytes), ("reserved", pool.reserved_bytes),
                ("engines", held_bytes(pool, engines)),
            )
        ),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_memory_budget_bytes", "Of a pool, for all engines together.", ("node", "pool"),
        (((node, pool.pool_id), pool.budget_bytes) for node, pool, _ in pools),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_memory_pressure", "1 for how short of main memory a node is.", ("node", "level"),
        (
            ((node, level), told.pressure.level == level)
            for node, told in nodes if told.pressure is not None for level in get_args(PressureLevel)
        ),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_disk_bytes", "Of the file system that holds the models.", ("node", "kind"),
        (
            ((node, kind), size)
            for node, told in nodes if (disk := told.hardware.disk) is not None
            for kind, size in (("total", disk.total_bytes), ("free", disk.free_bytes))
        ),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_load_average", "Over a minute.", ("node",),
        (((node,), told.hardware.cpu_load) for node, told in nodes),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_report_timestamp_seconds", "When a node made its last report, by its own clock.", ("node",),
        (((node,), told.taken_at_s) for node, told in nodes),
    )  # fmt: skip
    yield _gauge(
        "potluck_node_certificate_expiry_timestamp_seconds", "When a member's certificate ends.", ("node",),
        (((node,), told.certificate_ends_s) for node, told in nodes),
    )  # fmt: skip


def _of_accelerators(nodes: Sequence[tuple[str, NodeSnapshot]]) -> Iterator[Metric]:
    devices = [(node, one) for node, told in nodes for one in told.hardware.activity]
    labels = ("node", "device")

    def gauge(name: str, text: str, values: Iterable[float | None]) -> Metric:
        named = ((node, one.pool_id) for node, one in devices)
        return _gauge(f"potluck_node_accelerator_{name}", text, labels, zip(named, values, strict=True))

    yield gauge("utilization_ratio", "0 to 1, by its driver.", (one.busy for _, one in devices))
    yield gauge("temperature_celsius", "By its driver.", (one.temperature_c for _, one in devices))
    yield gauge("power_watts", "By its driver.", (one.power_w for _, one in devices))
    yield gauge("throttled", "1 while it is slower for heat.", (one.throttled for _, one in devices))
    energy = CounterMetricFamily("potluck_node_energy_joules", "Since its driver was loaded.", labels=labels)
    for node, one in devices:
        if one.energy_j is not None:
            energy.add_metric((node, one.pool_id), one.energy_j)
    yield energy


def held_bytes(pool: MemoryPool, engines: Sequence[EngineSnapshot]) -> int | None:
    """What engines hold of a pool. None where a driver tells it for all GPUs together, or not at all."""
    if pool.kind == "vram":
        return None
    known = [engine.memory_bytes for engine in engines if engine.memory_bytes is not None]
    return sum(known) if known or not engines else None


def _of_engines(engines: Sequence[tuple[str, EngineSnapshot]]) -> Iterator[Metric]:
    labels = ("engine", "node", "model")

    def gauge(name: str, text: str, values: Iterable[float | int | None]) -> Metric:
        named = ((engine.engine_id, node, engine.model.name) for node, engine in engines)
        return _gauge(f"potluck_engine_{name}", text, labels, zip(named, values, strict=True))

    loads = [engine.load for _, engine in engines]
    yield gauge("requests_running", "By the engine's own count.", (load.running for load in loads))
    yield gauge("requests_waiting", "In the engine's own queue.", (load.waiting for load in loads))
    yield gauge("slots", "Requests that it works on at once.", (load.slots for load in loads))
    yield gauge("kv_cache_usage_ratio", "0 to 1.", (load.kv_used for load in loads))
    yield gauge("kv_capacity_tokens", "Of all its requests.", (capacity_tokens(engine) for _, engine in engines))
    yield gauge("kv_headroom_tokens", "That its cache still takes.", (free_tokens(engine) for _, engine in engines))
    yield gauge("memory_bytes", "Main memory of its processes.", (engine.memory_bytes for _, engine in engines))
    yield gauge("vram_bytes", "GPU memory of its processes.", (engine.vram_bytes for _, engine in engines))
    yield gauge("load_seconds", "From its process to ready.", (engine.ready_after_s for _, engine in engines))
    yield gauge("starts", "Of it, on its node.", (engine.generation for _, engine in engines))
    yield _gauge(
        "potluck_engine_state", "1 for the state an engine is in.", (*labels, "state"),
        (
            ((engine.engine_id, node, engine.model.name, state), engine.state == state)
            for node, engine in engines for state in get_args(EngineState)
        ),
    )  # fmt: skip


def _gauge(name: str, text: str, labels: Sequence[str], values: Iterable[Value]) -> Metric:
    """What is unknown has no sample."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        if value is not None:
            family.add_metric(key, float(value))
    return family
