"""Asking a machine what it is: one Probe for each source of facts, merged into one Hardware.

A vendor's probe (NVIDIA, Apple, AMD) is a file of its own that returns what it alone knows. No probe asks which
platform it is on in order to do another's work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inventory.hardware import Accelerator, AcceleratorActivity, Disk, Hardware, Host, MemoryPool

UNKNOWN_HOST = Host("other", "unknown", "unknown", None, None, None, None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one probe found. None and empty mean that this probe does not speak about it."""

    host: Host | None = None
    pools: tuple[MemoryPool, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    disk: Disk | None = None
    cpu_load: float | None = None
    warnings: tuple[str, ...] = ()
    activity: tuple[AcceleratorActivity, ...] = ()


class Probe(Protocol):
    """A source of facts. `read` reports what it cannot find out as a warning, in words for the operator."""

    @property
    def name(self) -> str: ...

    def read(self, own_pids: frozenset[int]) -> Reading:
        """`own_pids` are potluck's engines: their memory is not counted as used by others."""
        ...


def survey(probes: Sequence[Probe], own_pids: frozenset[int]) -> Hardware:
    """Ask every probe and merge: the first to name a fact wins. A probe that fails costs its own facts only."""
    readings = tuple(_read(probe, own_pids) for probe in probes)
    host = next((reading.host for reading in readings if reading.host), None)
    warnings = tuple(warning for reading in readings for warning in reading.warnings)
    return Hardware(
        host=host or UNKNOWN_HOST,
        pools=_merged_pools(readings),
        accelerators=tuple(accelerator for reading in readings for accelerator in reading.accelerators),
        disk=next((reading.disk for reading in readings if reading.disk), None),
        cpu_load=next((reading.cpu_load for reading in readings if reading.cpu_load is not None), None),
        warnings=warnings if host else (*warnings, "no probe could tell what machine this is"),
        activity=tuple(one for reading in readings for one in reading.activity),
    )


def _read(probe: Probe, own_pids: frozenset[int]) -> Reading:
    try:
        return probe.read(own_pids)
    except Exception as error:  # noqa: BLE001  a driver's library may raise anything; the other probes still count
        return Reading(warnings=(f"the {probe.name} probe failed: {type(error).__name__}: {error}",))


def _merged_pools(readings: Sequence[Reading]) -> tuple[MemoryPool, ...]:
    pools: dict[str, MemoryPool] = {}
    for reading in readings:
        for pool in reading.pools:
            pools.setdefault(pool.pool_id, pool)
    if any(pool.kind == "unified" for pool in pools.values()):
        # One memory, seen by two probes: the vendor's knows its GPU limits, the host's does not.
        return tuple(pool for pool in pools.values() if pool.kind != "ram")
    return tuple(pools.values())
