"""Machines that are only described: what their probes would report, and how fast engines read and compute there. Pure.

Budgets come out of the same rules as on machines that are here: a vendor's facts go through the half of its probe that
asks nobody.
"""

from dataclasses import dataclass
from functools import partial

from inventory import apple_facts, nvidia_facts
from inventory.hardware import Disk, Host, HostMemory, MemoryPool, PoolId, reserve
from inventory.nvidia_facts import DriverFacts
from inventory.probe import Reading

NOTICE = "simulated: this machine is only described, its engines keep its pace, and no model is loaded"


@dataclass(frozen=True, slots=True)
class Pace:
    """What engines reach there, which is less than what makers state."""

    read_bytes_s: float  # weights and caches, from the memory that engines compute on
    operations_s: float  # multiplications and additions of a prompt
    disk_bytes_s: float  # weights, while a model loads


@dataclass(frozen=True, slots=True)
class DescribedMachine:
    """`sysctl` is what macOS would say, `driver` what NVIDIA's would; neither of a machine without a GPU."""

    name: str
    host: Host
    memory: HostMemory
    disk: Disk
    pace: Pace
    sysctl: tuple[tuple[str, str], ...] = ()
    driver: DriverFacts | None = None

    def reading(self, reserved_bytes: int | None) -> Reading:
        """`reserved_bytes` is the operator's word on main memory."""
        memory = self.memory
        kept = reserve(memory.total_bytes, reserved_bytes)
        main = MemoryPool(PoolId("ram"), "ram", memory.total_bytes, memory.used_by_others_bytes, kept)
        gpu = apple_facts.reading_of(dict(self.sysctl), memory, reserved_bytes)
        if self.driver is not None:
            gpu = nvidia_facts.reading_of(self.driver, frozenset(), memory, reserved_bytes)
        return Reading(self.host, (main, *gpu.pools), gpu.accelerators, self.disk, warnings=(NOTICE, *gpu.warnings))


class DescribedProbe:
    """Implements inventory.probe.Probe: in place of every probe that would ask this machine."""

    name = "described"

    def __init__(self, machine: DescribedMachine, reserved_bytes: int | None = None) -> None:
        self._read = partial(machine.reading, reserved_bytes)

    def read(self, own_pids: frozenset[int]) -> Reading:
        return self._read()
