"""Decisions for tests of what is kept of them: any number of engines, any of them busy, by every policy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import msgspec
from hypothesis import strategies as st

from cluster.router_policy import RouterPolicy
from inventory.catalog import ModelName
from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import EngineId
from router.cost import Ask, Prospect, Standing
from router.decision import Decision, ModelRoutes, routing_table
from router.decision_record import DecisionNote
from router.rates import Bias
from router.request import Parsed, SizeOnly
from router.scoring import decide
from support.gateway import cluster_of, engine_at

HERE = Address("127.0.0.1", 1)
DECIDED_S = 1_800_000_000.0
NAMES = tuple(f"qwen3-30b-a3b.machine-{letter}.1" for letter in "abcdefgh")
GPU = Rates(7512.25, 31_992.75, 0.00653, 0.0004512, 1.03e-7)
CPU = Rates(221.7, 32_017.5, 0.0281, 0.00803, 2.51e-7)
POLICIES: tuple[RouterPolicy, ...] = get_args(RouterPolicy)


def asking(prompt_tokens: int = 1000) -> Parsed:
    return Parsed("toy", False, False, prompt_tokens * 4, None, SizeOnly())


def on(rates: Rates = GPU, **facts: object) -> Standing:
    return msgspec.structs.replace(Standing(rates, cache_tokens=80_000, slots=16), **facts)


def routes_of(names: Sequence[str], policy: RouterPolicy = "seconds") -> ModelRoutes:
    engines = [engine_at(HERE, name, context_tokens=100_000) for name in names]
    return routing_table(replace(cluster_of(engines), policy=policy)).models[ModelName("toy")]


def decision_of(
    standings: Sequence[Standing], ask: Ask | None = None, policy: RouterPolicy = "seconds", turn: int = 0,
    names: Sequence[str] = NAMES,
) -> Decision:  # fmt: skip
    """With these standings, by engines a, b, and so on."""
    asked, named = ask or Ask(1000, 200.0), dict(zip(map(EngineId, names), standings, strict=False))
    counts = {engine_id: standing.in_flight for engine_id, standing in named.items()}
    prospect = Prospect(asked, named)
    found = routes_of(names[: len(standings)], policy)
    return decide(found, asking(asked.prompt_tokens), counts, {}, prospect=prospect, turn=turn)


def counted(counts: Mapping[str, int], policy: RouterPolicy = "seconds", turn: int = 0) -> Decision:
    """Of engines that nobody has measured."""
    named = {EngineId(name): count for name, count in counts.items()}
    return decide(routes_of(tuple(counts), policy), asking(), named, {}, turn=turn)


def note_of(decision: Decision, **otherwise: object) -> DecisionNote:
    facts = {"request_id": "req_" + "0123456789abcdef" * 2, "decided_wall_s": DECIDED_S, "model": "qwen3-30b-a3b"}
    return DecisionNote(decision=decision, **{**facts, **otherwise})  # type: ignore[arg-type]  # tests name its fields


SECONDS = st.floats(0, 100, allow_subnormal=False)
STANDINGS = st.builds(
    Standing,
    st.builds(Rates, st.floats(50, 20_000), st.floats(5000, 50_000), st.floats(0.002, 0.1), st.floats(1e-5, 0.01),
              st.floats(0, 1e-6), st.integers(256, 8192)),
    cache_tokens=st.integers(0, 500_000),
    slots=st.integers(1, 32),
    bias=st.builds(Bias, st.floats(0.1, 10), st.floats(0.1, 10), st.integers(0, 9999), st.integers(0, 9999),
                   st.floats(0, 1)),
    in_flight=st.integers(0, 64),
    decoding=st.integers(0, 32),
    kv_tokens=st.integers(0, 500_000),
    backlog_s=SECONDS,
    backlog_tokens=st.integers(0, 100_000),
    neighbours_step_s=st.floats(0, 0.2),
    live_tokens=st.integers(0, 500_000),
    cached_tokens=st.integers(0, 60_000),
    load_s=st.sampled_from([0.0, 12.34567]),
    round_trip_s=st.floats(0, 0.1),
    home=st.booleans(),
    kept_tokens=st.integers(0, 500_000),
    strangers=st.integers(0, 64),
    strangers_age_s=st.floats(0, 5),
)  # fmt: skip
ASKS = st.builds(Ask, st.integers(1, 60_000), st.floats(1, 4000), st.booleans())
DECISIONS = st.builds(
    decision_of, st.lists(STANDINGS, min_size=1, max_size=8), ASKS, st.sampled_from(POLICIES), st.integers(0, 10**6)
)
COUNTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 200), min_size=1)
UNMEASURED = st.builds(counted, COUNTS, st.sampled_from(POLICIES), st.integers(0, 10**6))
