"""`python -m bench.routing`: every policy on the same requests, on simulated machines. See docs/bench-routing.md."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.routing import decision_cost, doubts, fairness, replay, warming
from bench.routing.experiment import Experiment, Source, cores, run_all
from bench.routing.figures import Figures
from bench.routing.fleet import FLEETS, Fleet, fleet_of
from bench.routing.report import Table
from bench.routing.rivals import BASE, CLAIRVOYANT, LMETRIC, POLICIES, POTLUCK
from bench.routing.traces import KNOWN, Known
from bench.routing.workloads import NAMES

PLANS = {
    "f1": (*NAMES, *(known.name for known in KNOWN)),
    "f2": ("rag", "agent", "mixed", "mooncake"),
    "h2": ("rag", "agent", "mooncake"),
}
SEEDS = 6
FIRST_SEED = 31  # the weights were chosen on 11 to 23
DOUBTED = ("chat", "agent", "mooncake")
QUICK = (BASE, LMETRIC, POTLUCK, CLAIRVOYANT)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared"), help="folder that holds traces/ (default: ../shared)"
    )
    parser.add_argument("--fleet", help="f1, f2, h2 or a JSON file (default: all three)")
    parser.add_argument("--trace", type=Path, help="one file of requests instead of the workloads")
    parser.add_argument("--stretch", type=float, default=1.0, help="the trace comes so many times slower (default: 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times more synthetic sessions (default: 1)")
    parser.add_argument(
        "--policy",
        action="append",
        choices=list(POLICIES),
        help="only this one, beside least_requests; may be repeated",
    )
    parser.add_argument("--seed", type=int, help=f"only this seed (default: {SEEDS} from {FIRST_SEED} on)")
    parser.add_argument("--warming", action="store_true", help="only potluck with warming beside potluck without")
    parser.add_argument("--quick", action="store_true", help="two seeds, four policies, no sub-tables")
    parser.add_argument("--processes", type=int, default=cores(), help="at a time (default: one for each core)")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    count = 2 if options.quick else SEEDS
    seeds = list(range(FIRST_SEED, FIRST_SEED + count)) if options.seed is None else [options.seed]
    policies = _policies(options)
    fleets = [fleet_of(options.fleet)] if options.fleet else list(FLEETS.values())
    folder = options.data / "traces" if options.data is not None else None
    if options.warming:
        for fleet in fleets:
            _warming(options, fleet, _sources(options, fleet, folder), seeds)
        return 0
    tables = [_table(fleet, _sources(options, fleet, folder), policies, seeds, options.processes) for fleet in fleets]
    for fleet, table in zip(fleets, tables, strict=True):
        notes = [] if options.trace is not None else _notes(fleet, folder)
        print("\n".join(["", *table.lines(), *notes, *table.busy(), *table.verdicts()]), flush=True)
    whole = not (options.quick or options.trace or options.policy or options.fleet or options.seed is not None)
    if whole:
        _sub_tables(options, folder, seeds[:3])
    print()
    for table in tables:
        print(table.result())
    return 0


def _policies(options: argparse.Namespace) -> tuple[str, ...]:
    """Ratios need somebody to be compared with."""
    if options.policy:
        return tuple(dict.fromkeys([BASE, *options.policy]))
    return QUICK if options.quick else tuple(POLICIES)


def _sources(options: argparse.Namespace, fleet: Fleet, folder: Path | None) -> list[Source]:
    if options.trace is not None:
        return [Source(options.trace.stem, file=options.trace, stretch=options.stretch)]
    names: Iterable[str] = PLANS.get(fleet.name, PLANS["f1"])
    known = {one.name: one for one in KNOWN}
    sources = []
    for name in names:
        if name not in known:
            sources.append(Source(name, scale=options.scale))
        elif _there(known[name], folder):
            sources.append(Source(name, data=folder))
    return sources


def _notes(fleet: Fleet, folder: Path | None) -> list[str]:
    """What was done to the traces, and which are missing."""
    lines = []
    for known in (one for one in KNOWN if one.name in PLANS.get(fleet.name, PLANS["f1"])):
        if _there(known, folder):
            lines.append(f"  {known.name} is {known.file}, {known.stretch:g} times slower, a third of it for each seed")
        else:
            lines.append(f"  without {known.name}: {known.file} is not in {folder}; see --data")
    return lines


def _there(known: Known, folder: Path | None) -> bool:
    return folder is not None and (folder / known.file).exists()


def _table(
    fleet: Fleet, sources: Sequence[Source], policies: Sequence[str], seeds: Sequence[int], processes: int
) -> Table:
    plan = [Experiment(fleet, source, policy, seed) for source in sources for policy in policies for seed in seeds]
    found = run_all(plan, processes, _progress(f"fleet {fleet.name}", len(plan)))
    results: dict[tuple[str, str], list[Figures]] = {}
    for experiment, figures in found.items():
        results.setdefault((experiment.source.name, experiment.policy), []).append(figures)
    return Table(fleet.name, tuple(source.name for source in sources), tuple(policies), results)


def _warming(options: argparse.Namespace, fleet: Fleet, sources: Sequence[Source], seeds: Sequence[int]) -> None:
    plan = {
        (source, on): [Experiment(fleet, source, POTLUCK, seed, warming=on) for seed in seeds]
        for source in sources
        for on in (False, True)
    }
    todo = [experiment for runs in plan.values() for experiment in runs]
    found = run_all(todo, options.processes, _progress("warming", len(todo)))
    off, on = ([[found[one] for one in plan[source, warm]] for source in sources] for warm in (False, True))
    rows = warming.lines([source.name for source in sources], off, on)
    print("\n".join(["", f"fleet {fleet.name}", *rows]), flush=True)


def _sub_tables(options: argparse.Namespace, folder: Path | None, seeds: Sequence[int]) -> None:
    fleet = FLEETS["f1"]
    sources = [source for source in _sources(options, fleet, folder) if source.name in DOUBTED]
    for plan, lines in doubts.SECTIONS:
        experiments = plan(fleet, sources, seeds)
        found = run_all(experiments, options.processes, _progress("doubts", len(experiments)))
        print("\n".join(["", *lines(fleet, sources, seeds, found)]), flush=True)
    _warming(options, fleet, _sources(options, fleet, folder), seeds)
    print("\n".join(["", *fairness.lines(seeds), "", *decision_cost.lines(), *replay.lines()]), flush=True)


class _Progress:
    """On standard error, where somebody watches."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0

    def __call__(self) -> None:
        self._done += 1
        if sys.stderr.isatty():
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._title}: {self._done} of {self._total}", end=end, file=sys.stderr, flush=True)


def _progress(title: str, total: int) -> _Progress:
    return _Progress(title, total)


if __name__ == "__main__":
    sys.exit(main())
