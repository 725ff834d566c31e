"""`python -m bench.cli`: how much longer `--help` takes than Python that does nothing, for the command and its groups.

Each round runs Python alone and then every command once, so that whatever else the machine does slows them all. A
command's figure is its median less Python's; the minimum says how quick it can be.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from typer.core import TyperGroup
from typer.main import get_command

from bench.relay.machine import ForeignLoad
from cli.main import app

ROUNDS, QUICK_ROUNDS = 25, 2
WANTED_MS = 150.0
PYTHON = "python -c pass"


def commands() -> dict[str, tuple[str, ...]]:
    """By what a person types."""
    root, potluck = get_command(app), str(Path(sys.executable).with_name("potluck"))
    assert isinstance(root, TyperGroup)
    groups = [name for name, command in root.commands.items() if isinstance(command, TyperGroup)]
    asked: list[tuple[str, ...]] = [("--help",), *((name, "--help") for name in groups)]
    helps = {f"potluck {' '.join(words)}": (potluck, *words) for words in asked}
    return {PYTHON: (sys.executable, "-c", "pass"), **helps}


def taken_ms(command: Sequence[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began_s)


def measured(rounds: int) -> Mapping[str, list[float]]:
    chosen = commands()
    for command in chosen.values():
        taken_ms(command)  # reads its files from the disk, and compiles them
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, command in chosen.items():
            taken[name].append(taken_ms(command))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cli", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds: shows that all works, measures little")
    foreign, taken = ForeignLoad(), measured(QUICK_ROUNDS if parser.parse_args().quick else ROUNDS)
    bare = median(taken[PYTHON])
    over = {name: median(times) - bare for name, times in taken.items() if name != PYTHON}
    print(f"{'command':<26}{'minimum':>12}{'median':>12}{'over python':>14}")
    for name, times in taken.items():
        more = f"{over[name]:>11.1f} ms" if name in over else ""
        print(f"{name:<26}{min(times):>9.1f} ms{median(times):>9.1f} ms{more}")
    print(f"foreign load: {foreign.cores():.2f} cores")
    print(f"RESULT cli help_over_python_ms={over['potluck --help']:.1f} worst_command_ms={max(over.values()):.1f}")
    return 0 if max(over.values()) < WANTED_MS else 1


if __name__ == "__main__":
    sys.exit(main())
