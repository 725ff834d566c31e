"""The twelve leaks tried in a sealed process, and what its journal says of each."""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from cluster.sealed_report import Entry
from inventory.paths import StatePaths
from support.leak_attempts import LEAKS
from support.sealed_journal import entries_of

TESTS = Path(__file__).parents[1]

# What a service does first, and then what a child of it inherits. A process of its own: a guard is never taken off.
SEALED = """
import sys
from pathlib import Path
from inventory.paths import StatePaths
from nodes.sealing.place import SealedRules, guard_engine, seal_this_process, write_rules
paths = StatePaths.at(Path(sys.argv[1]))
write_rules(paths, SealedRules(True))
seal_this_process(paths)
guard_engine(sys.argv[2])
from support.leak_attempts import main
main()
"""


@dataclass(frozen=True, slots=True)
class LeaksTried:
    said: str
    refused: dict[str, Entry]  # by the leak's name: the line of the journal that names who tried it

    @property
    def missing(self) -> list[str]:
        return [name for name in LEAKS if name not in self.refused]


def try_leaks(directory: Path, prefix: tuple[str, ...] = ()) -> LeaksTried:
    """All twelve, in the process that was sealed. `prefix` is put before the command, to run it elsewhere."""
    engine = directory / "engine"
    venv.create(engine, with_pip=False)
    python, state = str(engine / "bin" / "python"), directory / "state"
    program = SEALED
    done = subprocess.run(
        [*prefix, sys.executable, "-c", program, str(state), python],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "LEAKS_ENGINE": python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    entries = entries_of(StatePaths.at(state))
    return LeaksTried(done.stdout, {name: entry for name in LEAKS for entry in entries if _tells_of(entry, name)})


def _tells_of(entry: Entry, name: str) -> bool:
    leak = LEAKS[name]
    return entry.verdict == "refused" and entry.peer == leak.peer and leak.module in entry.modules
