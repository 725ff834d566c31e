"""`python -m bench.relay`: the same load through every proxy, interleaved, each proxy alone on one core."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import platformdirs

from bench.one_machine import BenchError
from bench.relay import key_check, programs, report
from bench.relay.machine import Cores, ForeignLoad
from bench.relay.peers import ALL_TARGETS, GATEWAY, launch_of, mock_engines
from bench.relay.scenarios import LoadGenerator, Sample, scenarios, translated
from bench.relay.targets import Target


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over these (default: 5, about 4 min)")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that all works, measures little")
    parser.add_argument("--without", action="append", default=[], choices=ALL_TARGETS, help="leave a target out")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=platformdirs.user_cache_path("potluck") / "bench-relay",
        help="where the programs that the bench compiles, unpacks or installs are kept",
    )
    return parser.parse_args()


def rotated(targets: Sequence[Target], by: int) -> Sequence[Target]:
    """Every target is first, and last, in some round: what drifts with time then hits all alike."""
    by %= len(targets)
    return (*targets[by:], *targets[:by])


def samples(load: LoadGenerator, targets: Sequence[Target], quick: bool, rounds: int) -> Iterator[Sample]:
    plan, more = scenarios(quick), translated(quick)
    for target in targets:
        target.wait_ready()
        for scenario in (*plan, *(more if target.name == GATEWAY else ())):
            load.drive(scenario.warm_up(), target)  # its own connections are open and its code is warm
    for number in range(rounds):
        for scenario in plan:
            for target in rotated(targets, number):
                yield load.measure(number, scenario, target)
        for scenario in more:
            for target in targets:
                if target.name == GATEWAY:
                    yield load.measure(number, scenario, target)
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)


def run(options: argparse.Namespace) -> None:
    cache: Path = options.cache_dir.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    cores = Cores.of_this_machine()
    if cores.proxy is None:
        print("processes are not pinned: fewer than two cores, or no taskset. Read ratios with care.", file=sys.stderr)
    load = LoadGenerator(programs.compiled("load_generator", cache), cores.load)
    names = [name for name in ALL_TARGETS if name not in options.without]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="potluck-bench-")))
        ports = stack.enter_context(mock_engines(programs.compiled("mock_engine", cache), cores.load))
        launches = [launch_of(name, ports, scratch, cache) for name in names]
        targets = [stack.enter_context(Target(launch, scratch, cores.proxy)) for launch in launches]
        rounds = 1 if options.quick else options.rounds
        foreign = ForeignLoad()
        taken = report.Samples(list(samples(load, targets, options.quick, rounds)))
        foreign_cores = foreign.cores()
    print(report.table(taken, names))
    print(report.dialect_table(taken))
    print(f"foreign load: {foreign_cores:.2f} cores")
    check = key_check.measured()
    print(check.text())
    print(report.result_line(taken, check))


def main() -> int:
    try:
        run(arguments())
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
