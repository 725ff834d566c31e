"""Merging what several probes say about one machine."""

from dataclasses import dataclass

from inventory.hardware import Accelerator, Host, MemoryPool, PoolId, PoolKind
from inventory.probe import UNKNOWN_HOST, Reading, survey

GIB = 1 << 30
HOST = Host("linux", "Debian 12", "x86_64", "a cpu", 4, 8, "boot-1")


@dataclass(frozen=True)
class Says:
    """A probe that returns what it was given."""

    reading: Reading
    name: str = "given"

    def read(self, own_pids: frozenset[int]) -> Reading:
        return self.reading


class Fails:
    name = "nvidia"

    def read(self, own_pids: frozenset[int]) -> Reading:
        raise RuntimeError("driver/library version mismatch")


def pool(kind: PoolKind, name: str, total: int) -> MemoryPool:
    return MemoryPool(PoolId(name), kind, total, None, 0)


def test_pools_and_accelerators_of_all_probes_come_together() -> None:
    gpu = Accelerator("nvidia", "RTX 4090", PoolId("vram:0"), "570.1", "8.9")
    hardware = survey(
        [
            Says(Reading(host=HOST, pools=(pool("ram", "ram", 64 * GIB),), cpu_load=0.5)),
            Says(Reading(pools=(pool("vram", "vram:0", 24 * GIB),), accelerators=(gpu,))),
        ],
        frozenset(),
    )

    assert (hardware.host, hardware.cpu_load, hardware.accelerators) == (HOST, 0.5, (gpu,))
    assert [p.pool_id for p in hardware.pools] == ["ram", "vram:0"]
    assert hardware.warnings == ()


def test_unified_memory_takes_the_place_of_ram() -> None:
    readings = [Reading(host=HOST, pools=(pool("ram", "ram", 512 * GIB),)), Reading(pools=(pool("unified", "u", GIB),))]

    assert [p.kind for p in survey([Says(reading) for reading in readings], frozenset()).pools] == ["unified"]


def test_a_probe_that_fails_costs_its_own_facts_only() -> None:
    hardware = survey([Fails(), Says(Reading(host=HOST))], frozenset())

    assert hardware.host == HOST
    assert hardware.warnings == ("the nvidia probe failed: RuntimeError: driver/library version mismatch",)


def test_a_machine_nobody_knows_is_said_to_be_unknown() -> None:
    hardware = survey([], frozenset())

    assert (hardware.host, hardware.pools) == (UNKNOWN_HOST, ())
    assert hardware.warnings == ("no probe could tell what machine this is",)
