"""The RESULT line says what the samples say: ratios within a round, unknown where nothing was measured."""

from bench.relay.key_check import KeyCheck
from bench.relay.report import Samples, result_line, table
from bench.relay.scenarios import LATENCY, PACED_64, REQUESTS_16, REQUESTS_64, SATURATED_64, Load, Sample

CHECK = KeyCheck(known_us=0.4, first_us=3.1, limited_us=12.3)


def _sample(
    target: str, scenario: str, count: int, *, round_number: int = 0, first_ms: float = 20.0, cpu_s: float | None = 1.0
) -> Sample:
    load = Load(count, count, 1.0, first_ms, first_ms, 1010.0, 1010.0)
    return Sample(round_number, target, scenario, load, cpu_s, rss_bytes=50_000_000)


def test_the_result_compares_the_gateway_within_each_round_and_takes_the_median() -> None:
    samples = Samples(
        [
            # The second round ran on a machine half as fast: the ratio is the same, the figures are not.
            *(_sample("vllm-router", SATURATED_64, 1000 // slow, round_number=slow) for slow in (1, 2)),
            *(_sample("gateway", SATURATED_64, 1500 // slow, round_number=slow) for slow in (1, 2)),
        ]
    )

    assert "tok_vs_rust=1.50" in result_line(samples, CHECK)


def test_requests_per_second_are_reported_where_the_gateway_does_worse() -> None:
    samples = Samples(
        [
            _sample("vllm-router", REQUESTS_16, 1000),
            _sample("vllm-router", REQUESTS_64, 1000),
            _sample("gateway", REQUESTS_16, 1200),
            _sample("gateway", REQUESTS_64, 1700),
        ]
    )

    assert "rps_vs_rust=1.20 " in result_line(samples, CHECK)


def test_the_first_token_and_the_cpu_of_a_paced_stream_are_set_against_the_right_peer() -> None:
    samples = Samples(
        [
            _sample("direct", PACED_64, 100, first_ms=20.1, cpu_s=None),
            _sample("nginx", PACED_64, 100, cpu_s=0.5),
            _sample("vllm-router", PACED_64, 100, cpu_s=0.8),
            _sample("gateway", PACED_64, 100, first_ms=20.35, cpu_s=1.0),
        ]
    )

    line = result_line(samples, CHECK)

    assert "cpu_per_mtok_vs_rust=1.25 cpu_per_mtok_vs_nginx=2.00 " in line
    assert "added_ttft_p50_ms=0.25" in line


def test_the_second_hop_is_charged_for_what_it_adds_to_the_gateway() -> None:
    samples = Samples([_sample("gateway", PACED_64, 100), _sample("gateway+node", PACED_64, 100, cpu_s=1.75)])

    assert "hop_cpu_vs_gateway=0.75 " in result_line(samples, CHECK)


def test_what_was_not_measured_is_unknown_and_never_zero() -> None:
    assert result_line(Samples([]), CHECK) == (
        "RESULT relay rps_vs_rust=unknown tok_vs_rust=unknown cpu_per_mtok_vs_rust=unknown "
        "cpu_per_mtok_vs_nginx=unknown hop_cpu_vs_gateway=unknown added_ttft_p50_ms=unknown key_check_us=12.30"
    )


def test_the_table_has_a_dash_where_a_target_has_no_process_of_its_own() -> None:
    direct = _sample("direct", LATENCY, 100, cpu_s=None)

    assert table(Samples([direct]), ["direct"]).splitlines()[1].split()[:4] == ["direct", "-", "-", "-"]
