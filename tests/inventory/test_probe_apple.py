"""The Apple probe on what public reports say of Macs; the table beside the samples names each report."""

import sys
from pathlib import Path

import pytest

from inventory.apple_facts import parse_sysctl, reading_of, wired_limit
from inventory.hardware import GIB, HostMemory
from inventory.probe import Reading, survey
from inventory.probe_apple import AppleProbe
from inventory.probe_host import HostProbe

SAMPLES = Path(__file__).parent / "samples" / "apple"
MIB = 1 << 20


def facts(name: str) -> dict[str, str]:
    return parse_sysctl((SAMPLES / f"{name}.txt").read_text())


@pytest.mark.parametrize(
    ("name", "total_gib", "metal_says_mib"),
    [
        ("m1-16", 16, 10922.67),
        ("m2-max-32", 32, 21845.34),
        ("m2-max-96", 96, 73728.0),
        ("m2-ultra-192", 192, 147456.0),
        ("m1-max-32-raised", 32, 26000.0),
        ("m5-max-128-raised", 128, 114688.0),
    ],
)
def test_the_limit_is_what_metal_reported_there(name: str, total_gib: int, metal_says_mib: float) -> None:
    assert wired_limit(facts(name), total_gib * GIB) / MIB == pytest.approx(metal_says_mib, abs=0.01)


@pytest.mark.parametrize("used_gib", [0, 4, 8, 20, 40, 95])
def test_the_budget_never_exceeds_the_limit_nor_what_is_free(used_gib: int) -> None:
    (pool,) = reading_of(facts("m2-max-96"), HostMemory(96 * GIB, used_gib * GIB), None).pools

    assert (pool.pool_id, pool.kind, pool.total_bytes) == ("unified", "unified", 96 * GIB)
    assert pool.used_by_others_bytes == used_gib * GIB
    assert pool.budget_bytes == max(0, min(72 * GIB, 96 * GIB - used_gib * GIB - 96 * GIB // 20))


def test_the_operators_reserve_counts_where_it_is_stricter_than_the_limit() -> None:
    (pool,) = reading_of(facts("m2-max-96"), HostMemory(96 * GIB, 0), 40 * GIB).pools

    assert pool.budget_bytes == 56 * GIB


def test_unknown_use_by_others_stays_unknown() -> None:
    (pool,) = reading_of(facts("m1-16"), HostMemory(16 * GIB, None), None).pools

    assert (pool.used_by_others_bytes, pool.budget_bytes) == (None, None)


def test_a_limit_beyond_the_memory_is_cut() -> None:
    assert wired_limit({"iogpu.wired_limit_mb": "999999"}, 16 * GIB) == 16 * GIB


def test_the_gpu_carries_the_name_of_the_chip() -> None:
    text = (SAMPLES / "m2-ultra-192.txt").read_text()
    (gpu,) = AppleProbe(ask=lambda: text).read(frozenset()).accelerators

    assert (gpu.vendor, gpu.name, gpu.pool_id) == ("apple", "Apple M2 Ultra", "unified")


def test_the_shared_memory_stands_for_main_memory_in_the_whole_picture() -> None:
    text = (SAMPLES / "m2-ultra-192.txt").read_text()
    hardware = survey([HostProbe(Path("/")), AppleProbe(ask=lambda: text)], frozenset())

    assert [pool.kind for pool in hardware.pools] == ["unified"]


@pytest.mark.parametrize("text", ["", "hw.memsize: 17179869184\n", "hw.optional.arm64: 0\nhw.memsize: 17179869184\n"])
def test_a_mac_without_an_apple_chip_says_nothing(text: str) -> None:
    assert AppleProbe(ask=lambda: text).read(frozenset()) == Reading()


@pytest.mark.skipif(sys.platform == "darwin", reason="this is a Mac")
def test_another_system_says_nothing() -> None:
    assert AppleProbe().read(frozenset()) == Reading()
