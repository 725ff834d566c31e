"""`python -m bench.hostile`: the pace of 16 streams, alone and beside clients that break the rules of HTTP."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from threading import Thread
from time import sleep

import platformdirs

from bench.hostile.attack import CUT_AFTER_S, Outcome, attack
from bench.one_machine import BenchError
from bench.relay import programs
from bench.relay.machine import Cores
from bench.relay.peers import GATEWAY, launch_of, mock_engines
from bench.relay.scenarios import Load, LoadGenerator, Scenario
from bench.relay.targets import Target

STREAMS, STREAM_TOKENS = 16, 1000
"""They begin together. So long, their beginnings are fewer than one gap in a hundred; and so few, that their
99th percentile does not say how they happened to meet."""

FILLED_AFTER_S = 2.0
"""By then those that read nothing have filled every buffer on their way. Meanwhile the engine pours as fast as it can,
and its other streams wait for that: asked past the gateway they are as late."""


def run(rounds: int, cache: Path) -> None:
    cores = Cores.of_this_machine()
    load = LoadGenerator(programs.compiled("load_generator", cache), cores.load)
    scenario = Scenario("paced", STREAMS, CUT_AFTER_S, STREAM_TOKENS, paced=True)
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})  # the clients that attack: what they use is not the gateway's
    ratios, outcomes = [], []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="potluck-hostile-")))
        ports = stack.enter_context(mock_engines(programs.compiled("mock_engine", cache), cores.load))
        target = stack.enter_context(Target(launch_of(GATEWAY, ports, scratch, cache), scratch, cores.proxy))
        target.wait_ready()
        load.drive(scenario.warm_up(), target)
        print(f"{'round':>5} {'alone: gap p99 ms':>18} {'attacked':>9} {'ratio':>6}")
        for number in range(rounds):
            alone = load.drive(scenario, target)
            attacked, outcome = beside_an_attack(load, scenario, target)
            ratios.append(attacked.gap_p99_ms / alone.gap_p99_ms)
            outcomes.append(outcome)
            print(
                f"{number + 1:>5} {alone.gap_p99_ms:>18.2f} {attacked.gap_p99_ms:>9.2f} {ratios[-1]:>6.3f}", flush=True
            )
    report(ratios, outcomes)


def beside_an_attack(load: LoadGenerator, scenario: Scenario, target: Target) -> tuple[Load, Outcome]:
    assert target.launch.bearer_file is not None
    key, outcomes = target.launch.bearer_file.read_text().strip(), []
    seconds = FILLED_AFTER_S + CUT_AFTER_S
    thread = Thread(target=lambda: outcomes.append(asyncio.run(attack(target.launch.port, key, seconds))))
    thread.start()
    sleep(FILLED_AFTER_S)
    measured = load.drive(scenario, target)
    thread.join()
    return measured, outcomes[0]


def report(ratios: list[float], outcomes: list[Outcome]) -> None:
    refused: Counter[tuple[str, int]] = sum((one.refused for one in outcomes), Counter())
    cut: Counter[str] = sum((one.cut for one in outcomes), Counter())
    left = sum(one.open.total() for one in outcomes)
    for (kind, status), count in sorted(refused.items()):
        print(f"{kind:20} {count:>6} x {status or 'cut'}")
    for kind, count in sorted(cut.items()):
        print(f"{kind:20} {count:>6} x cut")
    passed = sum(count for (_, status), count in refused.items() if 200 <= status < 400)
    print(
        f"RESULT hostile gap_p99_ratio={median(ratios):.3f} refused={refused.total() - passed} passed={passed} "
        f"cut={cut.total()} left_open={left}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one round: shows that all works, measures little")
    options = parser.parse_args()
    cache = (platformdirs.user_cache_path("potluck") / "bench-relay").absolute()
    cache.mkdir(parents=True, exist_ok=True)
    os.nice(10)
    try:
        run(1 if options.quick else options.rounds, cache)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
