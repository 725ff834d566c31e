"""How fast a described machine would be: arithmetic that can be done by hand."""

from dataclasses import replace

import pytest

from inventory.catalog import ArtifactFormat
from inventory.demo_machines import DEMO_MACHINES, MAC_STUDIO, RTX4090
from inventory.described_models import BGE_M3, vector_model, writing_model
from inventory.known_models import KNOWN, QUANTISATIONS
from nodes.engines.simulated_pace import CHUNK_S, pace_of

MLX: ArtifactFormat = "mlx"


def test_an_answer_waits_for_the_weights_of_a_dense_model_and_each_request_for_its_own_past() -> None:
    """14.8 billion weights at 4.5 bits are 8.3 GB, 21 ms at 400 GB/s; a token's keys and values are 160 KiB."""
    rates = pace_of(writing_model("qwen3-14b", MLX, "4bit").spec, MAC_STUDIO.pace).rates

    assert rates.step_s == pytest.approx(14_768_307_200 * 4.5 / 8 / 400e9)
    assert rates.step_per_request_s == 0
    assert rates.step_per_token_s == pytest.approx(160 * 1024 / 400e9)


def test_of_a_mixture_of_experts_a_request_reads_its_own_few() -> None:
    """Qwen3-235B-A22B: 22 billion weights work on a token, as its name says, and two thirds of them are experts."""
    spec = writing_model("qwen3-235b-a22b", MLX, "4bit").spec
    rates = pace_of(spec, MAC_STUDIO.pace).rates
    seconds_each = spec.weight_bytes / spec.parameters / MAC_STUDIO.pace.read_bytes_s

    working = (rates.step_s + rates.step_per_request_s) / seconds_each
    assert working == pytest.approx(22e9, rel=0.02)
    assert rates.step_per_request_s / seconds_each == pytest.approx(227e9 * 8 / 128, rel=0.02)
    assert rates.prefill == pytest.approx(MAC_STUDIO.pace.operations_s / (2 * working))


def test_a_prompt_costs_twice_as_much_where_looking_back_does_as_much_as_the_weights() -> None:
    rates = pace_of(writing_model("qwen3-14b", MLX, "4bit").spec, MAC_STUDIO.pace).rates

    assert rates.doubling_tokens == pytest.approx(14_768_307_200 / (2 * 40 * 128 * 40))


@pytest.mark.parametrize("machine", DEMO_MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_a_faster_machine_is_faster_and_smaller_weights_too(known: object, machine: object) -> None:
    name, pace = known.name, machine.pace  # type: ignore[attr-defined]  # parametrize passes objects
    by_size = sorted(QUANTISATIONS, key=lambda one: writing_model(name, MLX, one).spec.weight_bytes)
    small, large = (pace_of(writing_model(name, MLX, one).spec, pace) for one in (by_size[0], by_size[-1]))
    better = replace(pace, read_bytes_s=2 * pace.read_bytes_s, operations_s=2 * pace.operations_s)
    faster = pace_of(writing_model(name, MLX, by_size[0]).spec, better)

    assert 0 < small.rates.decode_step_s(1, 1000) < large.rates.decode_step_s(1, 1000)
    assert 0 < small.load_s < large.load_s
    assert faster.rates.decode_step_s(3, 500) == pytest.approx(small.rates.decode_step_s(3, 500) / 2)
    assert faster.rates.prefill == pytest.approx(2 * small.rates.prefill)
    assert small.rates.chunk_tokens <= max(8, small.rates.prefill * CHUNK_S)


def test_a_model_that_makes_vectors_keeps_nothing_between_requests() -> None:
    spec = vector_model("bge-m3", "gguf", BGE_M3, 567_754_752).spec

    assert pace_of(spec, RTX4090.pace).rates.step_per_token_s == 0
