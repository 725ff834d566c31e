"""`python -m bench.embeddings`: texts a second of the packaged encoder, through potluck and called directly."""

import argparse
import random
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median

from bench.embeddings.arms import Library, Taken, potluck
from bench.one_machine import measured
from inventory.paths import StatePaths
from nodes.engine_envs import python_of

TEXT = (
    "el ministro de hacienda anunció ayer que la biblioteca tendrá más libros y ordenadores para todos los vecinos "
    "the committee agreed that every machine in the building should share its memory with whoever needs it today "
    "aunque llovía mucho cantaron hasta la madrugada while nobody knew which of the 1,250 answers was right"
)
ROUNDS = 7
BATCHES = ((64, 8), (8, 16), (1, 48))  # texts of a request, and requests of a round
ARMS = ("library", "engine", "gateway")


def texts(count: int, dice: random.Random) -> list[str]:
    """From a few words to a paragraph, none twice: an answer that is kept would cost nothing."""
    words = TEXT.split()
    return [" ".join(dice.choices(words, k=dice.choice((6, 12, 25, 60)))) for _ in range(count)]


def run(rounds: int, scratch: Path) -> None:
    dice, ratios = random.Random(8), dict[tuple[int, str], list[tuple[float, float]]]()
    print(f"{'texts':>6} {'round':>6}" + "".join(f" {arm + ' texts/s':>16}" for arm in ARMS))
    with potluck(scratch / "state") as (engine, gateway):
        python = python_of(StatePaths.at(scratch / "state").engines, "encoder")
        with closing(Library(python)) as library:
            for size, count in BATCHES:
                for number in range(rounds + 1):
                    requests = [texts(size, dice) for _ in range(count)]
                    found = (library.encode(requests), engine.encode(requests), gateway.encode(requests))
                    if number:  # before the first, everybody warms up
                        note(ratios, size, found)
                        row = "".join(f" {size * count / one.wall_s:>16.1f}" for one in found)
                        print(f"{size:>6} {number:>6}{row}", flush=True)
    report(ratios)


def note(ratios: dict[tuple[int, str], list[tuple[float, float]]], size: int, found: Sequence[Taken]) -> None:
    library = found[0]
    for arm, one in zip(ARMS[1:], found[1:], strict=True):
        ratios.setdefault((size, arm), []).append((library.wall_s / one.wall_s, library.cpu_s / one.cpu_s))


def report(ratios: dict[tuple[int, str], list[tuple[float, float]]]) -> None:
    """Medians of pairs. Processor seconds are those of the process that encodes: what else runs does not touch them."""
    print(f"\n{'texts':>6} {'through':>8} {'of direct':>10} {'by processor seconds':>21}")
    for (size, arm), pairs in ratios.items():
        wall, cpu = (median(values) for values in zip(*pairs, strict=True))
        print(f"{size:>6} {arm:>8} {wall:>10.3f} {cpu:>21.3f}")
    size = BATCHES[0][0]
    engine, gateway = (median(wall for wall, _ in ratios[size, arm]) for arm in ARMS[1:])
    print(f"RESULT embeddings vs_direct={engine:.3f} gateway_vs_direct={gateway:.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.embeddings", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    options = parser.parse_args()
    return measured("embeddings", partial(run, 2 if options.quick else ROUNDS))


if __name__ == "__main__":
    sys.exit(main())
