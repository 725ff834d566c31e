"""Sealed mode: whether it holds on this machine, and who tried to reach anybody outside the cluster."""

from collections.abc import Iterator

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from cluster.sealed_report import added_up, read_entries
from nodes.sealing.guard import JOURNAL
from nodes.sealing.place import is_sealed

DAY_MS = 86_400_000


def check_sealed(situation: Situation) -> Iterator[Result]:
    """Nothing to say where the cluster is not sealed."""
    paths = situation.paths
    if not is_sealed(paths):
        return
    journal = paths.sealed / JOURNAL
    entries, _ = read_entries(journal.read_bytes().splitlines() if journal.exists() else ())
    now_ms = int(situation.sources.clock.wall_s() * 1000)
    rows = added_up(entries, now_ms - DAY_MS, now_ms + 1)
    passed = [f"{row.process} to {row.peer}" for row in rows if row.verdict == "passed"]
    refused = sum(row.count for row in rows if row.verdict == "refused")
    if passed:
        told = f"connections outside the cluster were seen in the last day: {', '.join(passed[:3])}"
        yield fail(told, "potluck sealed report; end what made them, or name the network under sealed.networks")
    elif refused:
        yield warn(f"{refused} attempts to leave the cluster were refused in the last day", "potluck sealed report")
    else:
        yield ok("nobody tried to leave the cluster in the last day")
