"""`potluck models verify --all`: every byte of every model, hashed where it lies."""

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.output import data, terminal_columns
from cli.table import mib_or_gib, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.jobs import JobFabric, JobOutcome
    from inventory.paths import StatePaths
    from nodes.snapshot import NodeId


@dataclass(frozen=True, slots=True)
class VerifyRow:
    """One model on one node, or a node that could not be asked."""

    node: str
    model: str
    size: str
    problem: str | None
    asked: bool = True


def verify_everywhere(paths: "StatePaths") -> int:
    """Print a row for each model on each node. Returns the exit code: 0, 3 for damage, 6 for a node not asked."""
    os.environ["POTLUCK_STATE_DIR"] = str(paths.root)  # where a job looks that runs in this process
    rows = asyncio.run(_verify(paths))
    shown = [(row.node, row.model, row.size, row.problem or "ok") for row in rows]
    data(table(("NODE", "MODEL", "SIZE", "RESULT"), shown, terminal_columns(), wrap=("RESULT",)))
    if any(row.problem and row.asked for row in rows):
        return 3
    return 0 if all(row.asked for row in rows) else 6


async def _verify(paths: "StatePaths") -> "list[VerifyRow]":
    from cluster.admin_client import AdminClient
    from cluster.jobs import InProcessJobs, JobPart
    from cluster.ray_jobs import RayJobs
    from cluster.ray_setup import bridge_socket

    nodes = (await AdminClient(paths.head_socket).snapshot()).nodes
    holders = [node.node_id for node in nodes if node.snapshot is not None and node.snapshot.models]
    bridge = bridge_socket(paths)
    jobs: JobFabric = RayJobs(bridge) if bridge.exists() else InProcessJobs(_this_node(paths))
    outcomes = await jobs.run("verify_models", [JobPart(node_id) for node_id in holders])
    return rows_of(outcomes)


def rows_of(outcomes: "Sequence[JobOutcome]") -> "list[VerifyRow]":
    from cluster.jobs import decode_checks

    rows: list[VerifyRow] = []
    for outcome in outcomes:
        if outcome.answer is None:
            rows.append(VerifyRow(outcome.node_id, "", "", f"not asked: {outcome.error}", asked=False))
            continue
        for check in decode_checks(outcome.answer):
            rows.append(VerifyRow(outcome.node_id, check.model, mib_or_gib(check.size_bytes), check.problem))
    return rows


def _this_node(paths: "StatePaths") -> "NodeId":
    from cli.prepare import this_node
    from cli.wire import load_or_default
    from nodes.snapshot import NodeId

    return NodeId(this_node(paths, load_or_default(paths).config))
