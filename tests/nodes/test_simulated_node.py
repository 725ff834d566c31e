"""What makes a node take a described machine for its own: installed engines, what they hold, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import pytest

from inventory.catalog import ArtifactId, HeldModel, ModelName, ModelRef, shape_of
from inventory.demo_machines import MAC_STUDIO, POWEREDGE, RTX4090
from inventory.described import DescribedMachine, DescribedProbe
from inventory.described_models import writing_model
from inventory.hardware import GIB
from inventory.probe import survey
from nodes.engine_envs import installed
from nodes.engines.base import EngineOptionError
from nodes.engines.mlx import MlxAdapter
from nodes.engines.simulated import SimulatedAdapter
from nodes.engines.simulated_pace import pace_of
from nodes.simulated import SimulatedMemories, install_simulated
from nodes.snapshot import EngineKind, EngineSnapshot, MemoryItem
from support.cluster_facts import engine

SPEC = writing_model("qwen3-14b", "mlx", "4bit").spec
REF = ModelRef(ModelName("qwen3-14b"), "simulated", ArtifactId("5e" * 32), None, None)
ITEMS = (MemoryItem(("weights",), 8 * GIB), MemoryItem(("kv cache",), 3 * GIB))


def predicted(engine: EngineSnapshot) -> tuple[MemoryItem, ...]:
    return ITEMS


@pytest.mark.parametrize(
    ("kind", "machine", "suits"),
    [("mlx", MAC_STUDIO, "Apple GPU"), ("vllm", RTX4090, "NVIDIA GPU"), ("llamacpp", POWEREDGE, "any")],
)
def test_an_installed_engine_says_that_it_is_simulated_and_suits_the_machine(
    tmp_path: Path, kind: EngineKind, machine: DescribedMachine, suits: str
) -> None:
    install_simulated(tmp_path, kind, machine)

    (found,) = installed(tmp_path)
    assert (found.kind, found.version, found.suits) == (kind, "simulated", suits)


def test_an_engine_that_is_installed_already_is_left_alone(tmp_path: Path) -> None:
    """It may be real, in a directory that is shared."""
    install_simulated(tmp_path, "mlx", MAC_STUDIO)
    python = tmp_path / "mlx" / "bin" / "python"
    python.write_text("another")

    with pytest.raises(FileExistsError):
        install_simulated(tmp_path, "mlx", MAC_STUDIO)
    assert python.read_text() == "another"


def test_an_engine_holds_what_was_predicted_for_it_and_so_much_less_is_left() -> None:
    memories = SimulatedMemories(MAC_STUDIO, predicted, {"mlx": GIB})
    before = memories.state()
    engines = (engine("qwen3-14b.mac-studio.1", kind="mlx"), replace(engine("gone", kind="mlx"), pid=None))
    memories.look(engines)
    first, gone = memories.told(engines)

    assert (first.memory_bytes, first.memory_peak_bytes, first.vram_bytes) == (11 * GIB, 11 * GIB, None)
    assert first.memory_items == ITEMS
    assert gone.memory_bytes is None
    assert before.total_bytes == 512 * GIB
    assert memories.state().available_bytes == before.available_bytes - 11 * GIB


def test_with_a_gpu_of_its_own_memory_only_the_runtime_is_in_main_memory() -> None:
    memories = SimulatedMemories(RTX4090, predicted, {"vllm": GIB})
    (told,) = memories.told([engine("qwen3-14b.rtx4090.1", kind="vllm")])

    assert (told.vram_bytes, told.memory_bytes) == (11 * GIB, GIB)


def test_it_refuses_what_the_engine_that_it_stands_in_for_would_refuse() -> None:
    adapter = SimulatedAdapter(MlxAdapter(), {"qwen3-14b": pace_of(SPEC, MAC_STUDIO.pace)}, "mac-studio")
    mac = survey([DescribedProbe(MAC_STUDIO)], frozenset())
    held = HeldModel(REF, "mlx", 1, 0, None, frozenset({"chat"}), shape=shape_of(SPEC))
    gguf = replace(held, format="gguf")
    other = replace(held, ref=replace(REF, name=ModelName("mistral-7b")))

    assert adapter.why_not(held, mac) is None
    assert adapter.why_not(gguf, mac) == MlxAdapter().why_not(gguf, mac) is not None
    assert "none of the models that are simulated" in (adapter.why_not(other, mac) or "")
    with pytest.raises(EngineOptionError):
        adapter.check_options((("no-such-option", "1"),))
