"""Sub-tables: rates that are wrong, scrapes that stop, clients that name no session, caches of another size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from bench.routing.experiment import Experiment, Source
from bench.routing.figures import Figures, mean, ratio
from bench.routing.fleet import Fleet
from bench.routing.potluck_policy import Belief
from bench.routing.report import goodput, p95
from bench.routing.rivals import BASE, POTLUCK

FACTORS = (0.5, 1.0, 1.5)
LEARNT_AFTER = 200  # requests
SCRAPES_S = (0.0, 10.0, 1e9)  # at this moment, ten seconds old, and never again after the first
SCRAPED = ("gie_2_2_3", "card_naive", "smg_least_load", POTLUCK)

Found = Mapping[Experiment, Figures]
Belonging = tuple[str, Experiment]


def patterns(fleet: Fleet) -> list[Belief]:
    """Every way in which each machine is believed half as fast, right, or half as fast again."""
    names = [node.name for node in fleet.nodes]
    return [Belief(rates=tuple(zip(names, factors, strict=True))) for factors in product(FACTORS, repeat=len(names))]


def wrong_rates(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int]) -> list[Experiment]:
    return [
        Experiment(fleet, source, POTLUCK, seed, belief=belief, skip=LEARNT_AFTER)
        for source in sources
        for belief in patterns(fleet)
        for seed in seeds
    ]


def wrong_rates_lines(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int], found: Found) -> list[str]:
    """p95 against exact rates, once 200 requests have been seen."""
    lines = [f"wrong rates, {len(patterns(fleet))} patterns of -50, 0, +50 % over {len(fleet.nodes)} machines: "
             f"p95 against exact after {LEARNT_AFTER} requests"]  # fmt: skip
    exact = next(belief for belief in patterns(fleet) if {factor for _, factor in belief.rates} == {1.0})
    for source in sources:

        def runs(belief: Belief, source: Source = source) -> list[Figures]:
            one = Experiment(fleet, source, POTLUCK, 0, belief=belief, skip=LEARNT_AFTER)
            return [found[replace(one, seed=seed)] for seed in seeds]

        ratios = {belief: ratio(runs(belief), runs(exact), p95) for belief in patterns(fleet)}
        worst = max(ratios, key=lambda belief: ratios[belief])
        believed = " ".join(f"{name} x{factor:g}" for name, factor in worst.rates)
        over = sum(1 for value in ratios.values() if value > 1.2)
        lines.append(f"  {source.name:<11} worst {ratios[worst]:.2f} (believed {believed}), "
                     f"mean {mean(list(ratios.values())):.2f}, over 1.20: {over}")  # fmt: skip
    return lines


def scrapes(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int]) -> list[Experiment]:
    return [
        Experiment(fleet, source, policy, seed, scrape_s=scrape_s)
        for source in sources
        for policy in SCRAPED
        for scrape_s in SCRAPES_S
        for seed in seeds
    ]


def scrapes_lines(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int], found: Found) -> list[str]:
    lines = ["scrapes 10 s old | stopped: p95 against fresh ones, goodput"]
    for source in sources:
        for policy in SCRAPED:
            runs = [
                [found[Experiment(fleet, source, policy, seed, scrape_s=scrape_s)] for seed in seeds]
                for scrape_s in SCRAPES_S
            ]
            cells = [f"{ratio(later, runs[0], p95):8.2f} {mean([goodput(one) for one in later]):.3f}" for later in runs]
            lines.append(f"  {source.name:<11}{policy:<16}{' | '.join(cells[1:])}")
    return lines


BELIEFS: tuple[tuple[str, Belief], ...] = (
    ("as it is", Belief()),
    ("no session is named", Belief(names=False)),
    ("no answer is streamed", Belief(streams=False)),
    ("caches believed half", Belief(cache=0.5)),
    ("caches believed 1.5x", Belief(cache=1.5)),
)

TOO_SLOW = 0.2


def beliefs(fleet: Fleet) -> tuple[tuple[str, Belief], ...]:
    """And each machine believed so slow that it may never be asked."""
    slow = [(f"{node.name} believed x{TOO_SLOW:g}", Belief(rates=((node.name, TOO_SLOW),))) for node in fleet.nodes]
    whole = [("the same, not streamed", replace(belief, streams=False)) for _, belief in slow]
    return (*BELIEFS, *(row for pair in zip(slow, whole, strict=True) for row in pair))


def ignorance(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int]) -> list[Experiment]:
    return [
        Experiment(fleet, source, POTLUCK, seed, belief=belief)
        for source in sources
        for _, belief in beliefs(fleet)
        for seed in seeds
    ] + [Experiment(fleet, source, BASE, seed) for source in sources for seed in seeds]


def ignorance_lines(fleet: Fleet, sources: Iterable[Source], seeds: Sequence[int], found: Found) -> list[str]:
    lines = ["what it is not told: p95 against least_requests"]
    for source in sources:
        base = [found[Experiment(fleet, source, BASE, seed)] for seed in seeds]
        for name, belief in beliefs(fleet):
            runs = [found[Experiment(fleet, source, POTLUCK, seed, belief=belief)] for seed in seeds]
            lines.append(f"  {source.name:<11}{name:<28}{ratio(runs, base, p95):.2f}")
    return lines


Section = tuple[
    Callable[[Fleet, Iterable[Source], Sequence[int]], list[Experiment]],
    Callable[[Fleet, Iterable[Source], Sequence[int], Found], list[str]],
]
SECTIONS: tuple[Section, ...] = (
    (wrong_rates, wrong_rates_lines),
    (scrapes, scrapes_lines),
    (ignorance, ignorance_lines),
)
