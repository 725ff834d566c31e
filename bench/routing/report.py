"""The tables, and the RESULT line of each fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.routing.figures import Figure, Figures, geometric_mean, mean, ratio
from bench.routing.rivals import BASE, CLAIRVOYANT, LMETRIC, POTLUCK, RIVALS

Results = Mapping[tuple[str, str], Sequence[Figures]]  # by workload and policy, in the order of seeds


def p50(one: Figures) -> float:
    return one.p50_s


def p95(one: Figures) -> float:
    return one.p95_s


def e2e(one: Figures) -> float:
    return one.e2e_s


def goodput(one: Figures) -> float:
    return one.goodput


@dataclass(frozen=True, slots=True)
class Table:
    """One fleet: policies down, workloads across."""

    fleet: str
    workloads: tuple[str, ...]
    policies: tuple[str, ...]
    results: Results

    def lines(self) -> list[str]:
        """Ratios are to least-requests: below 1 is better. Seconds are means over seeds."""
        head = f"{'fleet ' + self.fleet:<20}" + "".join(f"{name:>26}" for name in self.workloads)
        under = f"{'':<20}" + f"{'p50/p95/p99 s goodput':>26}" * len(self.workloads)
        rows = [head + f"{'p95':>7}{'worst':>7}{'e2e':>6}{'good':>6}", under]
        return rows + [self._row(policy) for policy in self.policies]

    def busy(self) -> list[str]:
        """What the machines did, with potluck and with least-requests."""
        lines = []
        for name in self.workloads:
            shares = [
                f"{policy} " + " ".join(f"{machine} {share:.0%}" for machine, share in self._busy(name, policy).items())
                for policy in (POTLUCK, BASE)
                if (name, policy) in self.results
            ]
            runs = self.results[name, self.policies[0]]
            requests, refused = mean([float(one.requests) for one in runs]), sum(one.refused for one in runs)
            none_holds = f", {refused} refused: no engine can hold them" if refused else ""
            lines.append(f"  {name:<11}{requests:6.0f} requests a seed{none_holds}; busy: " + "; ".join(shares))
        return lines

    def verdicts(self) -> list[str]:
        """Potluck against whom it is measured by, on each workload."""
        if not {POTLUCK, BASE, CLAIRVOYANT, LMETRIC} <= set(self.policies):
            return []
        lines = []
        for name in self.workloads:
            ours = mean([one.goodput for one in self.results[name, POTLUCK]])
            best = max((one for one in self.policies if one in RIVALS), key=lambda one: self._goodput(name, one))
            errors = [one.error for one in self.results[name, POTLUCK] if one.error is not None]
            lines.append(
                f"  {name:<11} p95 vs least_requests {self.against(name, BASE, p95):.2f}, vs lmetric "
                f"{self.against(name, LMETRIC, p95):.2f}, vs clairvoyant {self.against(name, CLAIRVOYANT, p95):.2f}; "
                f"goodput {ours:.3f}, best rival {self._goodput(name, best):.3f} ({best}); "
                f"predicted first token off by {mean(errors):.0%} in the median"
            )
        return lines

    def result(self) -> str:
        """`goodput`: mean over workloads, and how far it is under the best rival of its workload, at worst."""
        if not {POTLUCK, BASE, CLAIRVOYANT} <= set(self.policies):
            return f"RESULT routing fleet={self.fleet} incomplete"
        ratios = [self.against(name, BASE, p95) for name in self.workloads]
        seen = [self.against(name, CLAIRVOYANT, p95) for name in self.workloads]
        rivals = [policy for policy in self.policies if policy in RIVALS]
        behind = max(
            max(self._goodput(name, one) for one in rivals) - self._goodput(name, POTLUCK) for name in self.workloads
        )
        figures = {
            "p95_vs_least_requests": geometric_mean(ratios),
            "worst": max(ratios),
            "e2e": geometric_mean([self.against(name, BASE, e2e) for name in self.workloads]),
            "goodput": mean([self._goodput(name, POTLUCK) for name in self.workloads]),
            "goodput_behind": behind,
            "vs_clairvoyant": geometric_mean(seen),
            "vs_clairvoyant_worst": max(seen),
        }
        if LMETRIC in self.policies:
            figures["vs_lmetric_worst"] = max(self.against(name, LMETRIC, p95) for name in self.workloads)
        return f"RESULT routing fleet={self.fleet} " + " ".join(f"{key}={value:.3f}" for key, value in figures.items())

    def against(self, workload: str, other: str, figure: Figure, policy: str = POTLUCK) -> float:
        return ratio(self.results[workload, policy], self.results[workload, other], figure)

    def _goodput(self, workload: str, policy: str) -> float:
        return mean([one.goodput for one in self.results[workload, policy]])

    def _busy(self, workload: str, policy: str) -> dict[str, float]:
        runs = [dict(one.busy) for one in self.results[workload, policy]]
        return {machine: mean([run[machine] for run in runs]) for machine in runs[0]}

    def _row(self, policy: str) -> str:
        cells = [_cell(self.results[name, policy]) for name in self.workloads]
        line = f"{policy:<20}" + "".join(f"{cell:>26}" for cell in cells)
        if BASE not in self.policies:
            return line
        ratios = [self.against(name, BASE, p95, policy) for name in self.workloads]
        slower = geometric_mean([self.against(name, BASE, e2e, policy) for name in self.workloads])
        good = mean([self._goodput(name, policy) for name in self.workloads])
        return line + f"{geometric_mean(ratios):7.2f}{max(ratios):7.2f}{slower:6.2f}{good:6.3f}"


def _cell(runs: Sequence[Figures]) -> str:
    seconds = "/".join(_seconds(mean([figure(one) for one in runs])) for figure in (p50, p95, _p99))
    return f"{seconds} {mean([one.goodput for one in runs]):.3f}"


def _p99(one: Figures) -> float:
    return one.p99_s


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
