"""What a machine is and how full it is: facts at one instant. Unknown is None, never 0."""

from dataclasses import dataclass
from typing import Literal, NewType

PoolId = NewType("PoolId", str)  # "ram", "unified", "vram:0"; "vram:0.1" for a slice (MIG instance) of a GPU
PoolKind = Literal["ram", "unified", "vram"]
GIB = 1 << 30


def default_reserve(total_bytes: int) -> int:
    """What the operating system keeps unless the operator says otherwise: 5 % of the memory, at least 1 GiB."""
    return max(GIB, total_bytes // 20)


def reserve(total_bytes: int, chosen_bytes: int | None) -> int:
    return default_reserve(total_bytes) if chosen_bytes is None else chosen_bytes


@dataclass(frozen=True, slots=True)
class MemoryPool:
    """Memory that models compete for. A machine has one pool of RAM, or one unified pool, plus one per GPU.

    All sizes are bytes. `used_by_others_bytes` counts every process that is not one of potluck's engines.
    """

    pool_id: PoolId
    kind: PoolKind
    total_bytes: int
    used_by_others_bytes: int | None
    reserved_bytes: int  # kept free for the operating system and the machine's owner

    @property
    def budget_bytes(self) -> int | None:
        """What potluck's engines may use together, or None where use by others cannot be read."""
        if self.used_by_others_bytes is None:
            return None
        return max(0, self.total_bytes - max(self.used_by_others_bytes, 0) - self.reserved_bytes)


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Main memory, apart from who may use it: what the pools "ram" and "unified" are made of.

    The host's probe passes the warnings on; a vendor's probe that reads main memory as well leaves them to it.
    """

    total_bytes: int
    used_by_others_bytes: int | None  # without our engines; None where a container hides it
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU (or the GPU of an Apple chip), by the name its driver gives."""

    vendor: Literal["nvidia", "apple", "amd"]
    name: str
    pool_id: PoolId
    driver: str | None
    compute: str | None  # "8.9" for CUDA capability, "metal3" for Apple; None where it has no such notion


@dataclass(frozen=True, slots=True)
class AcceleratorActivity:
    """What a GPU does at this moment. None is what its driver does not tell."""

    pool_id: PoolId
    busy: float | None = None  # 0..1, over the driver's last sampling period
    temperature_c: float | None = None
    power_w: float | None = None
    energy_j: float | None = None  # since its driver was loaded
    throttled: bool | None = None  # it works slower than it could, since it is too hot


@dataclass(frozen=True, slots=True)
class Host:
    """The machine apart from its memory. Core counts are None where the OS does not tell."""

    os: Literal["linux", "macos", "windows", "other"]
    os_version: str
    arch: str  # "x86_64", "arm64"
    cpu_model: str | None
    physical_cores: int | None
    logical_cores: int | None
    boot_id: str | None  # changes at each boot; a lease from another boot is void


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds the model store."""

    path: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Hardware:
    host: Host
    pools: tuple[MemoryPool, ...]
    accelerators: tuple[Accelerator, ...]
    disk: Disk | None
    cpu_load: float | None  # 1-minute load average; None where the OS has none
    warnings: tuple[str, ...] = ()  # what a probe could not read, in words for the operator
    activity: tuple[AcceleratorActivity, ...] = ()
