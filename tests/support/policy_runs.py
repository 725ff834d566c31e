"""The same requests to the same machines under one policy after another, and how long first tokens take."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles

from cluster.router_policy import RouterPolicy
from nodes.snapshot import EngineSnapshot, NodeId
from router.cost import first_token_s
from support.gateway import Running, cluster_of, node_with, running_gateway
from support.policy_load import Load, first_tokens

POLICIES: tuple[RouterPolicy, ...] = ("seconds", "round-robin", "least-requests")


@dataclass
class Compared:
    """Seconds to the first token under each policy, and how far off what was predicted was."""

    taken: dict[RouterPolicy, list[float]] = field(default_factory=lambda: {policy: [] for policy in POLICIES})
    errors: list[float] = field(default_factory=list)

    def ratio(self, policy: RouterPolicy) -> float:
        return p95(self.taken["seconds"]) / p95(self.taken[policy])

    @property
    def error(self) -> float:
        return median(self.errors)

    def lines(self, name: str) -> Iterable[str]:
        for policy, taken in self.taken.items():
            yield f"{policy:15} p50 {median(taken):.3f} s  p95 {p95(taken):.3f} s"
        ratios = (f"p95_vs_{policy.replace('-', '_')}={self.ratio(policy):.3f}" for policy in POLICIES[1:])
        yield f"RESULT {name} {' '.join(ratios)} ttft_error_median={self.error:.3f}"


async def compared(root: Path, engines: Mapping[str, EngineSnapshot], load: Load, pairs: int) -> Compared:
    """`engines` by machine, all of one model, behind a gateway in this process."""
    found = Compared()
    for pair in range(pairs):
        for policy in POLICIES:
            taken, gateway = await _run(root / f"{pair}-{policy}", engines, policy, load, pair)
            found.taken[policy] += taken[load.warm :]
            if policy == "seconds":
                found.errors += _errors(gateway, load)
    return found


async def _run(
    root: Path, engines: Mapping[str, EngineSnapshot], policy: RouterPolicy, load: Load, seed: int
) -> tuple[Sequence[float], Running]:
    model = str(next(iter(engines.values())).model.name)
    quiet = (load.silence_s, load.silence_s)
    async with running_gateway(root, [], total_s=600.0, silence_s=quiet) as gateway:
        nodes = [replace(node_with([engine]), node_id=NodeId(name)) for name, engine in engines.items()]
        snapshot = replace(cluster_of([], [model], sequence=2), nodes=tuple(nodes), policy=policy)
        gateway.view.install_cluster(snapshot)
        async with gateway.openai() as client:
            taken = await first_tokens(client, model, policy, load.requests_of(seed), load.patience_s)
        gateway.finished()
        return taken, gateway


def _errors(gateway: Running, load: Load) -> Iterable[float]:
    for record in sorted(gateway.finished(), key=lambda one: one.arrived_wall_s)[load.warm :]:
        if record.first_byte_s is not None:
            observed_s = record.first_byte_s - record.queued_s
            yield abs(first_token_s(record.route_terms) / observed_s - 1)


def p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]
