"""The same router with and without warming: idle machines read ahead what `router.warming` has them read.

Nobody stops what is being read here: who comes waits until the piece is done, as with an engine that cannot be
interrupted in a prompt. What is read ahead is no request, so it is in no figure but that of how busy a machine is.
"""

from collections.abc import Callable, Iterable, Sequence

from bench.routing.figures import Figures, mean, ratio
from bench.routing.fleet import Fleet
from bench.routing.load import Job, Session, Turn, Workload
from bench.routing.machine import Engine
from bench.routing.potluck_policy import Belief, Potluck
from bench.routing.report import e2e, goodput, p50, p95
from bench.routing.simulate import Simulation
from inventory.catalog import ModelName
from nodes.snapshot import EngineId
from router.scoring import CHARACTERS_PER_TOKEN
from router.warming import LEAST_TOKENS, QUIET_S, Beginning, Spot, WarmUp, choose, worth_reading
from router.warming_counts import SharedBeginnings
from router.warming_texts import HeldTexts

AHEAD = "ahead"
A_MOMENT_S = 0.001


class WarmPotluck(Potluck):
    """Notes what the gateway's warmer would note of each request, and says what should be read next."""

    def __init__(self, engines: list[Engine], belief: Belief | None = None) -> None:
        super().__init__(engines, belief)
        self._engines = engines
        self._shared = SharedBeginnings()
        self._held: HeldTexts[None] = HeldTexts()

    def next(self, now_s: float) -> WarmUp | None:
        self._held.expire(now_s)
        return choose(self._held.beginnings(), self._spots(now_s), 0)

    def was_read(self, warm_up: WarmUp) -> None:
        self.foresight.warmed(warm_up)
        if warm_up.last:
            self._held.drop(warm_up.beginning)

    def dispatched(self, job: Job, engine: Engine, now_s: float) -> None:
        if job.session.kind == AHEAD:
            return
        super().dispatched(job, engine, now_s)
        chain, model = job.turn.prompt_chain, ModelName(job.model)
        blocks = self._shared.seen(model, chain, self._trips[job].session_id)
        tokens = blocks * engine.block_tokens
        if tokens < LEAST_TOKENS:
            return
        beginning = Beginning("", model, chain[:blocks], now_s)
        others = (spot for spot in self._spots(now_s) if spot.engine_id != engine.name)
        if not self._held.seen(beginning) and any(worth_reading(beginning, spot) for spot in others):
            self._held.keep(beginning, None, tokens * CHARACTERS_PER_TOKEN)

    def first_token(self, job: Job, engine: Engine, now_s: float) -> None:
        if job.session.kind != AHEAD:
            super().first_token(job, engine, now_s)

    def ended(self, job: Job, engine: Engine, now_s: float) -> None:
        if job.session.kind != AHEAD:
            super().ended(job, engine, now_s)

    def _spots(self, now_s: float) -> list[Spot]:
        found = [
            self.foresight.spot(
                EngineId(one.name), ModelName(one.spec.model), one.spec.context_tokens, frozenset(), now_s
            )
            for one in self._engines
        ]
        return [spot for spot in found if spot is not None]


class WarmedSimulation(Simulation):
    """With idle machines that read ahead, one piece at a time in the whole fleet."""

    def __init__(
        self, workload: Workload, fleet: Fleet, make_policy: Callable[[list[Engine]], WarmPotluck] = WarmPotluck
    ) -> None:
        super().__init__(workload, fleet, make_policy)
        assert isinstance(self.policy, WarmPotluck)
        self._router = self.policy
        self._reading: WarmUp | None = None

    def _follow_up(self, job: Job, now_s: float) -> None:
        """Whatever has ended: a machine may be idle for long enough in a while."""
        if self._reading is not None and job.session.kind == AHEAD:
            self._router.was_read(self._reading)
            self._reading = None
            self._push(now_s, self._look, 0)
            return
        super()._follow_up(job, now_s)
        self._push(now_s + QUIET_S + A_MOMENT_S, self._look, 0)

    def _look(self, now_s: float) -> None:
        warm_up = self._router.next(now_s) if self._reading is None else None
        if warm_up is None:
            return
        self._reading, chain = warm_up, tuple(int(str(block)) for block in warm_up.chain)
        engine = next(one for one in self.engines if one.name == warm_up.engine_id)
        turn = Turn(len(chain) * engine.block_tokens + 1, 1, chain, chain)
        session = Session(now_s, engine.spec.model, AHEAD, (turn,))
        self._send(Job(-1, session, turn, 0, now_s), engine, now_s)


def lines(names: Sequence[str], off: Sequence[Sequence[Figures]], on: Sequence[Sequence[Figures]]) -> Iterable[str]:
    """Warming against none, on the same requests: below 1 is better, but for goodput and what was cached."""
    yield "warming: off -> on"
    for name, without, warmed in zip(names, off, on, strict=True):
        ratios = " ".join(
            f"{label} {ratio(warmed, without, figure):.2f}"
            for label, figure in (("p50", p50), ("p95", p95), ("e2e", e2e))
        )
        changes = ", ".join(
            f"{label} {_mean(without, figure):.3f} -> {_mean(warmed, figure):.3f}"
            for label, figure in (("goodput", goodput), ("cached", _hit))
        )
        machines = " ".join(
            f"{machine} {_busy(without, machine):.0%} -> {_busy(warmed, machine):.0%}" for machine, _ in without[0].busy
        )
        yield f"  {name:<11}{ratios}; {changes}; busy: {machines}"


def _mean(runs: Sequence[Figures], figure: Callable[[Figures], float]) -> float:
    return mean([figure(one) for one in runs])


def _busy(runs: Sequence[Figures], machine: str) -> float:
    return mean([dict(one.busy)[machine] for one in runs])


def _hit(one: Figures) -> float:
    return one.hit
