"""The journal of a sealed machine, as tests read it."""

from cluster.sealed_report import Entry, read_entries
from inventory.paths import StatePaths
from nodes.sealing.guard import JOURNAL


def entries_of(paths: StatePaths) -> tuple[Entry, ...]:
    """Every line says something."""
    journal = paths.sealed / JOURNAL
    entries, unreadable = read_entries(journal.read_bytes().splitlines() if journal.exists() else ())
    assert unreadable == 0
    return entries
