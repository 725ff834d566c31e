"""A node whose machine is only described: what its engines would hold, how much memory is left, and what is installed.

What an engine holds is what was predicted for it; the prediction is given by whoever composes the node.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from inventory.described import DescribedMachine
from inventory.memory_state import MemoryState
from nodes.engine_builds import BUILDS
from nodes.engine_envs import MARKER, EngineEnvironment, python_of
from nodes.engines.simulated import VERSION
from nodes.snapshot import EngineKind, EngineSnapshot, MemoryItem

Predicted = Callable[[EngineSnapshot], Sequence[MemoryItem]]
"""The items of an engine's need; empty where nothing is known of its model."""


class SimulatedMemories:
    """Implements nodes.engine_memory.Memories, and is the look at main memory besides.

    `host_bytes` is main memory that an engine holds whose model lies in a GPU's own.
    """

    def __init__(self, machine: DescribedMachine, predicted: Predicted, host_bytes: Mapping[EngineKind, int]) -> None:
        self._machine, self._predicted, self._host_bytes = machine, predicted, host_bytes
        self._held_bytes = 0  # of main memory, by all engines

    def look(self, engines: Iterable[EngineSnapshot]) -> None:
        self._held_bytes = sum(engine.memory_bytes or 0 for engine in self.told(engines))

    def told(self, engines: Iterable[EngineSnapshot]) -> tuple[EngineSnapshot, ...]:
        return tuple(engine if engine.pid is None else self._holding(engine) for engine in engines)

    def state(self) -> MemoryState:
        memory = self._machine.memory
        left = memory.total_bytes - (memory.used_by_others_bytes or 0) - self._held_bytes
        return MemoryState(max(0, left), memory.total_bytes)

    def _holding(self, engine: EngineSnapshot) -> EngineSnapshot:
        items = tuple(self._predicted(engine))
        size = sum(item.size_bytes for item in items)
        vram = size if engine.kind == "vllm" and self._machine.driver is not None else None
        main = size if vram is None else self._host_bytes[engine.kind]
        return replace(
            engine,
            memory_bytes=main,
            memory_peak_bytes=main,
            vram_bytes=vram,
            vram_peak_bytes=vram,
            memory_items=items,
        )


def install_simulated(engines_dir: Path, kind: EngineKind, machine: DescribedMachine) -> None:
    """The environment of an engine kind as `engines install` leaves one, but its python is the one that runs this.

    Raises FileExistsError where there is one already: it may be real.
    """
    python = python_of(engines_dir, kind)
    python.parent.mkdir(mode=0o700, parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    vendors = {gpu.vendor for gpu in machine.reading(None).accelerators}
    builds = [build for build in BUILDS if build.kind == kind]
    build = next((one for one in builds if vendors & one.vendors), builds[-1])
    marker = EngineEnvironment(kind, VERSION, str(python), lock_sha256="", installed_s=time.time(), build=build.name)
    (engines_dir / kind / MARKER).write_bytes(msgspec.json.encode(marker))
