"""What engines took corrects what is predicted: up at once, down on evidence, never below what was seen."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.fit import Workload, need_of
from cluster.fit_engines import memory_of
from cluster.fit_ledger import (
    STARTS_OF_BUILD,
    STARTS_TO_LOWER,
    STEP_BYTES,
    LedgerRow,
    corrected,
    kept,
    memory_for,
)
from inventory.catalog import ExpertShape
from nodes.snapshot import EngineId, MemoryItem
from support.ledgers import MIB, build_of, start
from support.shapes import DENSE, EVERY, HYBRID

LLAMACPP = Workload("llamacpp", DENSE, 8192, 4)
GPU = replace(LLAMACPP, accelerated=True)

workloads = st.builds(
    Workload,
    kind=st.just("llamacpp"),
    shape=st.sampled_from(
        [replace(shape, architecture=name) for name, shape in EVERY.items()]
        + [replace(DENSE, architecture="mixture", experts=ExpertShape(8, 2))]
    ),
    context_tokens=st.integers(512, 65_536),
    slots=st.integers(1, 16),
)
items = st.builds(
    MemoryItem,
    terms=st.sampled_from((("kv cache",), ("weights",), ("runtime",))),
    size_bytes=st.integers(0, 1 << 36),
)
histories = st.lists(
    st.builds(
        start,
        workload=workloads,
        over_bytes=st.integers(-(1 << 34), 1 << 34),
        number=st.integers(1, 1000),
        told=st.lists(items, max_size=3).map(tuple),
        served=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def one_way(rows: Sequence[LedgerRow], accelerated: bool) -> list[LedgerRow]:
    """The same starts as those of one build."""
    workloads = [replace(row.workload, accelerated=accelerated) for row in rows]
    return [
        replace(row, build=build_of(workload), workload=workload) for row, workload in zip(rows, workloads, strict=True)
    ]


@given(histories, st.booleans())
def test_nothing_that_was_measured_is_ever_predicted_too_low_again(rows: list[LedgerRow], accelerated: bool) -> None:
    mine = one_way(rows, accelerated)

    memory = corrected(mine[0].build, mine).memory

    for row in mine:
        assert need_of(row.workload, memory).total_bytes >= row.peak_bytes


@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_starts_makes_no_difference(rows: list[LedgerRow], random: Random) -> None:
    build, shuffled = rows[0].build, list(rows)
    random.shuffle(shuffled)

    assert corrected(build, shuffled) == corrected(build, rows)


@given(histories)
def test_a_correction_is_no_larger_than_the_worst_start_and_takes_no_more_than_half(rows: list[LedgerRow]) -> None:
    base = memory_of("llamacpp", accelerated=False)
    correction = corrected(rows[0].build, rows)
    worst = max(row.peak_bytes - need_of(row.workload).total_bytes for row in rows)

    assert -base.runtime_bytes // 2 <= correction.shift_bytes <= max(0, worst) + STEP_BYTES
    assert correction.shift_bytes % STEP_BYTES == 0
    assert correction.changes == (correction.memory != base)


def test_without_starts_the_figures_stay_as_they_are() -> None:
    correction = corrected(build_of(LLAMACPP), [])

    assert (correction.memory, correction.changes) == (memory_of("llamacpp", accelerated=False), False)


def test_one_start_that_took_more_raises_the_runtime_of_every_model_by_it() -> None:
    short = start(LLAMACPP, 100 * MIB)

    correction = corrected(short.build, [short, start(LLAMACPP, -500 * MIB, 2)])

    assert correction.shift_bytes == 104 * MIB  # the next step
    assert correction.why == "104.0 MiB more, by 2 starts on this node"
    runtime = next(item for item in need_of(LLAMACPP, correction.memory).items if item.term == "runtime")
    assert "llamacpp 1, measured, corrected by 2 starts on this node" in runtime.how


def test_what_a_models_own_cache_took_too_much_is_no_runtime_of_other_models() -> None:
    cache = need_of(LLAMACPP).of("kv cache")
    short = start(LLAMACPP, 1100 * MIB, told=(MemoryItem(("kv cache",), cache + 1000 * MIB),))
    other = replace(LLAMACPP, shape=HYBRID)
    named = replace(other, shape=replace(HYBRID, architecture="other"))

    correction = corrected(short.build, [short])

    assert correction.shift_bytes == 104 * MIB
    ((name, more),) = correction.memory.more_of
    assert name == "llama"
    assert more == pytest.approx(1000 * MIB, abs=2 * STEP_BYTES)
    alone = need_of(named, correction.memory).total_bytes - need_of(named).total_bytes
    assert alone < 110 * MIB


def test_starts_that_took_less_prove_it_only_together_and_after_they_served() -> None:
    less = -2048 * MIB  # more than the buffers and the safety, which may be untouched
    served = [start(GPU, less, number) for number in range(1, STARTS_TO_LOWER + 1)]
    build = served[0].build

    assert corrected(build, served).shift_bytes < 0
    assert corrected(build, served[1:]).shift_bytes == 0
    assert corrected(build, [*served[1:], replace(served[0], served=False)]).shift_bytes == 0
    mixture = replace(DENSE, experts=ExpertShape(8, 2))
    assert corrected(build, [start(replace(GPU, shape=mixture), less, number) for number in range(5)]).shift_bytes == 0


def test_the_fullest_start_decides_how_much_less_and_one_that_was_short_ends_it() -> None:
    served = [start(GPU, -2048 * MIB, number) for number in range(1, STARTS_TO_LOWER + 1)]
    build = served[0].build

    assert corrected(build, [*served, start(GPU, -10 * MIB, 9, model="other")]).shift_bytes == 0
    assert corrected(build, [*served, start(GPU, 30 * MIB, 9, model="other")]).shift_bytes == 32 * MIB


def test_an_engine_whose_cache_grows_with_use_never_proves_that_it_needs_less() -> None:
    served = [start(replace(GPU, kind="mlx"), -2048 * MIB, number) for number in range(1, 9)]

    assert not corrected(served[0].build, served).changes


def test_a_node_predicts_with_its_own_figures_and_otherwise_with_those_that_everybody_has() -> None:
    short = start(LLAMACPP, 100 * MIB)
    own = corrected(short.build, [short]).memory

    assert memory_for("llamacpp", False, [own]) is own
    assert memory_for("llamacpp", True, [own]) is memory_of("llamacpp", accelerated=True)


def test_a_model_that_restarts_often_does_not_crowd_out_the_others() -> None:
    once = start(LLAMACPP, number=0, model="rare")
    often = [start(LLAMACPP, 5 * (number == 7), number) for number in range(1, 100)]

    remaining = kept([once, *often])

    assert once in remaining
    assert [row.start.generation for row in remaining if row.model == "smol"] == [99, 98, 7]  # 7 took most


def test_a_build_has_no_end_of_starts() -> None:
    many = [start(LLAMACPP, number=number, model=f"model-{number}") for number in range(STARTS_OF_BUILD + 20)]

    assert len(kept(many)) == STARTS_OF_BUILD
    assert EngineId("model-0.box.1") not in {row.start.engine_id for row in kept(many)}
