"""Machines that are only described, and models without weights."""

from pathlib import Path

import pytest

from inventory.catalog import purpose_of
from inventory.clock import SystemClock
from inventory.demo_machines import DEMO_MACHINES, MAC_STUDIO, POWEREDGE, RTX4090
from inventory.described import NOTICE, DescribedMachine, DescribedProbe
from inventory.described_models import BGE_M3, vector_model, write_records, writing_model
from inventory.hardware import GIB, Hardware
from inventory.known_models import UnknownModelError
from inventory.probe import survey
from inventory.store import DamagedModelError, ModelStore


def reported(machine: DescribedMachine, reserved_bytes: int | None = None) -> Hardware:
    return survey([DescribedProbe(machine, reserved_bytes)], frozenset())


def test_a_described_machine_has_the_pools_that_its_probes_would_find() -> None:
    pools = {
        machine.name: {str(pool.pool_id): pool.budget_bytes for pool in reported(machine).pools}
        for machine in DEMO_MACHINES
    }

    assert {name: set(found) for name, found in pools.items()} == {
        "mac-studio": {"unified"}, "rtx4090": {"ram", "vram:0"}, "poweredge": {"ram"},
    }  # fmt: skip
    assert pools["mac-studio"]["unified"] == 448 * GIB  # what Metal may hold, less what others have beyond it
    assert pools["rtx4090"]["vram:0"] == 24 * GIB - GIB // 2 - 24 * GIB // 50


def test_what_the_operator_keeps_free_is_kept_free() -> None:
    (usual,), (more,) = reported(POWEREDGE).pools, reported(POWEREDGE, 40 * GIB).pools

    assert usual.reserved_bytes == 128 * GIB // 20
    assert more.reserved_bytes == 40 * GIB


@pytest.mark.parametrize("machine", DEMO_MACHINES, ids=lambda machine: machine.name)
def test_whoever_sees_the_hardware_sees_that_it_is_simulated(machine: DescribedMachine) -> None:
    hardware = reported(machine)

    assert NOTICE in hardware.warnings
    assert NOTICE.startswith("simulated")
    names = [hardware.host.os_version, hardware.host.cpu_model or "", *(gpu.name for gpu in hardware.accelerators)]
    assert all("(simulated)" in name for name in names)


def test_engine_kinds_find_the_accelerators_that_they_need() -> None:
    (apple,), (nvidia,) = reported(MAC_STUDIO).accelerators, reported(RTX4090).accelerators

    assert (apple.vendor, apple.pool_id) == ("apple", "unified")
    assert (nvidia.vendor, nvidia.compute, nvidia.pool_id) == ("nvidia", "8.9", "vram:0")


def test_a_store_tells_of_models_without_weights_what_a_node_needs_to_know(tmp_path: Path) -> None:
    written = writing_model("qwen3-235b-a22b", "mlx", "4bit")
    vectors = vector_model("bge-m3", "gguf", BGE_M3, 567_754_752)
    write_records(tmp_path, [written, vectors], created_s=1_800_000_000)
    store = ModelStore(tmp_path, SystemClock())
    bge, qwen = store.held()

    assert (qwen.ref.name, qwen.format, qwen.ref.revision, qwen.source) == (
        "qwen3-235b-a22b", "mlx", "simulated", "simulated:qwen3-235b-a22b",
    )  # fmt: skip
    assert qwen.size_bytes == written.spec.weight_bytes > 120 * GIB
    assert (purpose_of(qwen.capabilities), purpose_of(bge.capabilities)) == ("write", "embed")
    assert bge.shape is not None and bge.shape.attention is not None and not bge.shape.attention.causal


def test_a_model_without_weights_is_no_sound_model(tmp_path: Path) -> None:
    write_records(tmp_path, [writing_model("qwen3-4b", "gguf", "q4_k_m")], created_s=0)

    with pytest.raises(DamagedModelError):
        ModelStore(tmp_path, SystemClock()).verify("qwen3-4b")


def test_a_model_that_nobody_knows_is_not_made_up() -> None:
    with pytest.raises(UnknownModelError):
        writing_model("qwen9-9000b", "mlx", "4bit")
