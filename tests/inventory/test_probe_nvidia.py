"""The NVIDIA probe on samples of GPUs that the tests' machine does not have; each sample names its origin."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pynvml
import pytest

from inventory.hardware import GIB, AcceleratorActivity, HostMemory, PoolId, default_reserve
from inventory.nvidia_facts import reading_of
from inventory.probe import Reading
from inventory.probe_nvidia import NvidiaProbe, load_nvml, read_driver
from support.nvml_driver import MIB, SAMPLES, SampleDriver

NOBODY: frozenset[int] = frozenset()
ENGINE = frozenset({4001})


def read(driver: SampleDriver, own_pids: frozenset[int] = NOBODY, root: Path = Path("/nowhere")) -> Reading:
    return NvidiaProbe(load=driver.module, root=root).read(own_pids)


def machine_with_a_gpu(root: Path) -> Path:
    device = root / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    return root


def test_every_sample_names_its_origin() -> None:
    for path in SAMPLES.glob("*.json"):
        assert json.loads(path.read_text())["origin"].startswith("https://"), path.name


def test_each_gpu_is_a_pool_of_its_own() -> None:
    reading = read(SampleDriver("rtx-4090-pair"))

    assert [(pool.pool_id, pool.kind, pool.total_bytes // MIB) for pool in reading.pools] == [
        ("vram:0", "vram", 24564),
        ("vram:1", "vram", 24564),
    ]
    assert [(gpu.name, gpu.pool_id, gpu.driver, gpu.compute) for gpu in reading.accelerators] == [
        ("NVIDIA GeForce RTX 4090", "vram:0", "550.163.01", "8.9"),
        ("NVIDIA GeForce RTX 4090", "vram:1", "550.163.01", "8.9"),
    ]
    assert reading.warnings == ()


def test_what_a_gpu_does_is_told_as_far_as_its_driver_tells_it() -> None:
    busy, silent = read(SampleDriver("rtx-4090-pair")).activity

    assert busy == AcceleratorActivity(PoolId("vram:0"), 0.87, 84.0, 310.5, 7200.0, throttled=True)
    assert silent == AcceleratorActivity(PoolId("vram:1"))


def test_what_our_engines_hold_is_not_used_by_others() -> None:
    before, after = (read(SampleDriver("rtx-4090-pair"), own) for own in (NOBODY, ENGINE))

    assert [pool.used_by_others_bytes for pool in before.pools] == [507 * MIB, 459 * MIB]
    assert [pool.used_by_others_bytes for pool in after.pools] == [207 * MIB, 459 * MIB]
    assert after.pools[0].budget_bytes == 24564 * MIB - 207 * MIB - 24564 * MIB // 50


def test_the_driver_is_let_go_after_each_reading() -> None:
    driver = SampleDriver("rtx-4090-pair", lost=(0, 1))
    read(driver)

    assert driver.open == 0


def test_a_gpu_that_is_divided_counts_by_its_instances() -> None:
    reading = read(SampleDriver("a100-mig"), ENGINE)

    assert [(pool.pool_id, pool.used_by_others_bytes) for pool in reading.pools] == [
        ("vram:0.0", 366 * MIB),
        ("vram:0.2", 9826 * MIB),
    ]
    assert {gpu.compute for gpu in reading.accelerators} == {"8.0"}


def test_an_integrated_gpu_shares_main_memory() -> None:
    gib = 121.690
    host = HostMemory(int(gib * GIB), int(98.695 * GIB))
    facts = read_driver(SampleDriver("dgx-spark").module())
    (pool,) = reading_of(facts, ENGINE, host, None).pools

    assert (pool.pool_id, pool.kind, pool.total_bytes) == ("unified", "unified", host.total_bytes)
    assert pool.used_by_others_bytes == int(98.695 * GIB) - 91419 * MIB
    assert pool.reserved_bytes == default_reserve(host.total_bytes)


def test_the_probe_finds_the_main_memory_of_an_integrated_gpu_itself() -> None:
    reading = read(SampleDriver("dgx-spark"))

    assert [gpu.pool_id for gpu in reading.accelerators] == ["unified"]
    assert reading.pools[0].total_bytes > 0


def test_hidden_use_is_unknown_and_said_so_once_an_engine_runs() -> None:
    idle, busy = (read(SampleDriver("wsl2"), own) for own in (NOBODY, ENGINE))

    assert (idle.pools[0].used_by_others_bytes, idle.warnings) == (2048 * MIB, ())
    assert (busy.pools[0].used_by_others_bytes, busy.pools[0].budget_bytes) == (None, None)
    assert "hidden while an engine runs" in busy.warnings[0]


def test_a_card_that_hides_its_memory_is_left_alone_with_a_warning() -> None:
    reading = read(SampleDriver("rtx-4090-pair", silent=(0,)))

    assert [gpu.pool_id for gpu in reading.accelerators] == ["vram:1"]
    assert "does not tell its memory" in reading.warnings[0]


def test_a_gpu_that_fell_off_the_bus_costs_itself_only() -> None:
    reading = read(SampleDriver("rtx-4090-pair", lost=(0,)))

    assert [pool.pool_id for pool in reading.pools] == ["vram:1"]
    assert reading.warnings == ("GPU 0 does not answer (GPU is lost); see what nvidia-smi says",)


def test_a_machine_without_the_library_or_a_driver_says_nothing(tmp_path: Path) -> None:
    def absent() -> ModuleType:
        raise ModuleNotFoundError("No module named 'pynvml'")

    loads: list[Callable[[], ModuleType]] = [absent]
    loads += [
        SampleDriver(failure=failure).module
        for failure in (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    ]

    assert [NvidiaProbe(load=load, root=tmp_path).read(NOBODY) for load in loads] == [Reading()] * 3


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart this machine"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "install or load NVIDIA's driver"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "install or load NVIDIA's driver"),
        (pynvml.NVML_ERROR_UNKNOWN, "see what nvidia-smi says"),
    ],
)
def test_a_gpu_whose_driver_does_not_work_is_a_warning_in_words(tmp_path: Path, failure: int, advice: str) -> None:
    reading = read(SampleDriver(failure=failure), root=machine_with_a_gpu(tmp_path))

    assert (reading.pools, reading.accelerators) == ((), ())
    assert advice in reading.warnings[0]


def test_the_real_library_answers_on_this_machine_whatever_it_has() -> None:
    reading = NvidiaProbe().read(NOBODY)

    assert len(reading.accelerators) > 0 or reading.pools == ()
    assert load_nvml().__name__ == "pynvml"
