"""Machines as text: a table of all, a sheet of one; and labels from what an operator types."""

import difflib
from collections.abc import Sequence
from functools import partial

from cli.output import Listing, View, document_of
from cli.table import duration, gib, mib_or_gib, printable, table
from cluster.snapshot import ClusterSnapshot, NodeView
from nodes.rates import Rates
from nodes.snapshot import NodeSnapshot, PressureSnapshot


class NodeNotFoundError(Exception):
    """The cluster has no machine of this name. The command prints it and exits 4."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(known) or 'none'}"
        super().__init__(f"no machine is called {name}; {hint}")
        self.name = name


class LabelError(Exception):
    """Not KEY=VALUE and not KEY-. The command prints it and exits 2."""


def find_node(snapshot: ClusterSnapshot, name: str) -> NodeView:
    """Raises NodeNotFoundError."""
    for node in snapshot.nodes:
        if node.node_id == name:
            return node
    raise NodeNotFoundError(name, [node.node_id for node in snapshot.nodes])


def parse_labels(changes: Sequence[str]) -> dict[str, str | None]:
    """`room=attic` sets a label, `room-` takes it away. Raises LabelError."""
    parsed: dict[str, str | None] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if equals and key:
            parsed[key] = value
        elif not equals and change.endswith("-") and len(change) > 1:
            parsed[change[:-1]] = None
        else:
            raise LabelError(f"{change!r} is neither KEY=VALUE nor KEY-")
    return parsed


def nodes_listing(nodes: Sequence[NodeView], now_s: float) -> Listing:
    names = [node.node_id for node in nodes]
    return Listing("NodeList", document_of("nodes", nodes), names, partial(_nodes_table, nodes, now_s))


def _nodes_table(nodes: Sequence[NodeView], now_s: float, view: View) -> str:
    headers = ("NODE", "STATE", "FOR", "LINK", "ENGINES", "BUDGET GiB", "LABELS")
    more = ("ADDRESS", "SYSTEM", "ACCELERATORS", "RUNS") if view.wide else ()
    return table((*headers, *more), [
        (
            node.node_id,
            f"{node.state}: {node.reason}" if node.reason else node.state,
            duration(max(0.0, now_s - node.since_s)),
            node.link,
            ",".join(f"{engine.kind} {engine.version}" for engine in node.snapshot.installed) if node.snapshot else "?",
            _budgets(node),
            ",".join(f"{key}={value}" for key, value in node.labels) or "-",
            *(_wide(node) if view.wide else ()),
        )
        for node in nodes
    ], view.columns, ("LINK", "SYSTEM", "ADDRESS", "ACCELERATORS", "LABELS", "ENGINES"), ("STATE",))  # fmt: skip


def _wide(node: NodeView) -> tuple[str, str, str, str]:
    address = f"{node.address.host}:{node.address.port}" if node.address is not None else "-"
    if node.snapshot is None:
        return address, "?", "?", "?"
    host, accelerators = node.snapshot.hardware.host, node.snapshot.hardware.accelerators
    names = ", ".join(accelerator.name for accelerator in accelerators) or "-"
    return address, f"{host.os} {host.arch}", names, ",".join(one.engine_id for one in node.snapshot.engines) or "-"


def node_sheet(node: NodeView, now_s: float, columns: int | None = None) -> str:
    """Everything `nodes inspect` shows; --json has the same facts and more."""
    rows = [
        ("name", node.node_id),
        ("state", f"{node.state}{': ' + node.reason if node.reason else ''}"),
        ("since", f"{duration(max(0.0, now_s - node.since_s))} ago"),
        ("wanted", {"serve": "to serve", "cordon": "to take nothing new", "drain": "to be empty"}[node.duty]),
        ("link", _link(node)),
        ("labels", ", ".join(f"{key}={value}" for key, value in node.labels) or "none"),
    ]
    if node.snapshot is None:
        return table(("", ""), rows).lstrip("\n")
    if node.snapshot.pressure is not None:
        rows.append(("memory pressure", _pressure(node.snapshot.pressure, now_s)))
    parts = [table(("", ""), [*rows, *_facts(node.snapshot)]).lstrip("\n"), _engines(node.snapshot, now_s, columns)]
    parts += [f"! {printable(text)}" for text in node.snapshot.hardware.warnings]
    return "\n\n".join(part for part in parts if part)


def _link(node: NodeView) -> str:
    place = f" to {node.address.host}:{node.address.port}" if node.address else ""
    return f"{node.link}{place}{f': {node.link_reason}' if node.link_reason else ''}"


def _pressure(pressure: PressureSnapshot, now_s: float) -> str:
    told = f": {pressure.reason}" if pressure.reason else ""
    return f"{pressure.level} for {duration(max(0.0, now_s - pressure.since_s))}{told}"


def _facts(snapshot: NodeSnapshot) -> list[tuple[str, str]]:
    hardware, host = snapshot.hardware, snapshot.hardware.host
    cores = f"{host.physical_cores or '?'} cores, {host.logical_cores or '?'} threads"
    rows = [
        ("zone", snapshot.zone),
        ("system", f"{host.os} {host.os_version} {host.arch}"),
        ("processor", f"{host.cpu_model or 'unknown'}, {cores}"),
        *(("accelerator", f"{found.vendor} {found.name}") for found in hardware.accelerators),
        *(
            (
                f"memory {pool.pool_id}",
                f"budget {gib(pool.budget_bytes)} GiB of {gib(pool.total_bytes)}; "
                f"others use {gib(pool.used_by_others_bytes)}, kept free {gib(pool.reserved_bytes)}",
            )
            for pool in hardware.pools
        ),
    ]
    if hardware.disk is not None:
        rows.append(("disk", f"{gib(hardware.disk.free_bytes)} GiB free of {gib(hardware.disk.total_bytes)}"))
    rows += [("engine kind", f"{found.kind} {found.version}") for found in snapshot.installed]
    rows += [
        ("model", f"{held.ref} as {held.format}, {mib_or_gib(held.size_bytes)}")
        for held in sorted(snapshot.models, key=lambda held: (held.ref.name, held.format))
    ]
    return rows


def _speed(rates: Rates) -> str:
    """Of one request alone, as it was measured."""
    return f"reads {rates.prefill:,.0f}, writes {1 / rates.decode_step_s(1, 0):,.0f} tokens/s"


def _engines(snapshot: NodeSnapshot, now_s: float, columns: int | None) -> str:
    if not snapshot.engines:
        return ""
    return table(("ENGINE", "KIND", "STATE", "PID", "FOR", "GENERATION", "MEMORY", "PEAK", "SPEED"), [
        (
            engine.engine_id,
            engine.kind,
            f"{engine.state}: {engine.reason}" if engine.reason and engine.state != "ready" else engine.state,
            str(engine.pid or "-"),
            duration(max(0.0, now_s - engine.since_s)),
            str(engine.generation),
            "?" if engine.memory_bytes is None else mib_or_gib(engine.memory_bytes),
            "?" if engine.memory_peak_bytes is None else mib_or_gib(engine.memory_peak_bytes),
            "?" if engine.rates is None else _speed(engine.rates),
        )
        for engine in snapshot.engines
    ], columns, ("GENERATION", "PID", "PEAK", "SPEED"), ("STATE",))  # fmt: skip


def _budgets(node: NodeView) -> str:
    if node.snapshot is None:
        return "?"
    return ", ".join(f"{pool.pool_id} {gib(pool.budget_bytes)}" for pool in node.snapshot.hardware.pools)
