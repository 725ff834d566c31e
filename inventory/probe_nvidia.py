"""NVIDIA GPUs, asked through the driver's management library (NVML): memory, who uses it, and what the GPUs are.

A machine without the library or without a driver has nothing to say and says nothing. A driver that is there and does
not work is a warning: the operator of such a machine thinks that it has a GPU.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from inventory.hardware import AcceleratorActivity, PoolId
from inventory.host_memory import read_host_memory, with_descendants
from inventory.nvidia_facts import DriverFacts, GpuFacts, GpuMemory, GpuProcess, bytes_by_process, reading_of
from inventory.probe import Reading

_HOT = 0x20 | 0x40  # clocks are held down by the driver or by the board itself, for heat (nvml.h)
_PCI_VENDOR, _PCI_DISPLAY = "0x10de", "0x03"


def load_nvml() -> ModuleType:
    """The bindings of nvidia-ml-py, which is imported as `pynvml`. Raises ImportError."""
    return importlib.import_module("pynvml")


class NvidiaProbe:
    """`root` is where /sys is looked for; `reserved_bytes` counts where GPU and processor share one memory."""

    name = "nvidia"

    def __init__(
        self,
        reserved_bytes: int | None = None,
        load: Callable[[], ModuleType] = load_nvml,
        root: Path = Path("/"),
    ) -> None:
        self._reserved_bytes, self._load, self._root = reserved_bytes, load, root

    def read(self, own_pids: frozenset[int]) -> Reading:
        try:
            nvml = self._load()
        except ImportError:
            return Reading()
        try:
            with opened_driver(nvml):
                facts = read_driver(nvml)
        except nvml.NVMLError as error:
            told = trouble(nvml, error, self._root)
            return Reading(warnings=(f"{told[0]}; {told[1]}",) if told is not None else ())
        host = read_host_memory(own_pids, self._root) if any(gpu.is_integrated for gpu in facts.gpus) else None
        return reading_of(facts, with_descendants(own_pids), host, self._reserved_bytes)


def trouble(nvml: ModuleType, error: Exception, root: Path) -> tuple[str, str] | None:
    """What a driver that does not answer means, and what to do; None where the machine has no such GPU."""
    advice = "see what nvidia-smi says"
    if isinstance(error, nvml.NVMLError_LibRmVersionMismatch):
        advice = "its driver was updated while it ran: restart this machine"
    elif isinstance(error, (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded)):
        if not has_nvidia_gpu(root):
            return None
        advice = "install or load NVIDIA's driver to use it"
    return f"the NVIDIA GPU of this machine cannot be asked ({error})", advice


def gpu_bytes_by_process(load: Callable[[], ModuleType] = load_nvml) -> dict[int, int | None]:
    """By process id, as the driver tells it (inventory.nvidia_facts). Empty where no driver answers."""
    try:
        nvml = load()
    except ImportError:
        return {}
    try:
        with opened_driver(nvml):
            return bytes_by_process(read_driver(nvml))
    except nvml.NVMLError:
        return {}


def read_driver(nvml: ModuleType) -> DriverFacts:
    """Every GPU the driver shows. One that fails costs itself only. Raises NVMLError where the driver fails."""
    gpus: list[GpuFacts] = []
    warnings: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            gpus.extend(_read_gpu(nvml, index))
        except nvml.NVMLError as error:
            warnings.append(f"GPU {index} does not answer ({error}); see what nvidia-smi says")
    version = _answer(nvml, nvml.nvmlSystemGetDriverVersion)
    return DriverFacts(version, tuple(gpus), tuple(warnings))


def _read_gpu(nvml: ModuleType, index: int) -> Iterator[GpuFacts]:
    """The GPU, or its MIG instances: a GPU that was divided runs nothing outside of them."""
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    mode = _answer(nvml, nvml.nvmlDeviceGetMigMode, device)
    if mode is None or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        yield _facts(nvml, device, device, PoolId(f"vram:{index}"))
        return
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, number)
        except nvml.NVMLError_NotFound:
            continue
        yield _facts(nvml, device, instance, PoolId(f"vram:{index}.{number}"))


def _facts(nvml: ModuleType, device: Any, part: Any, pool_id: PoolId) -> GpuFacts:
    compute = _answer(nvml, nvml.nvmlDeviceGetCudaComputeCapability, device)
    memory = _answer(nvml, nvml.nvmlDeviceGetMemoryInfo, part)
    processes = _answer(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, part)
    return GpuFacts(
        pool_id=pool_id,
        name=nvml.nvmlDeviceGetName(part),
        compute=None if compute is None else f"{compute[0]}.{compute[1]}",
        memory=None if memory is None else GpuMemory(memory.total, memory.used),
        processes=None
        if processes is None
        else tuple(GpuProcess(process.pid, process.usedGpuMemory) for process in processes),
        activity=_activity(nvml, device, part, pool_id),
    )


def _activity(nvml: ModuleType, device: Any, part: Any, pool_id: PoolId) -> AcceleratorActivity:
    """Heat and power are of the whole device, also where `part` is an instance of it."""
    rates = _answer(nvml, nvml.nvmlDeviceGetUtilizationRates, part)
    celsius = _answer(nvml, nvml.nvmlDeviceGetTemperature, device, nvml.NVML_TEMPERATURE_GPU)
    milliwatts = _answer(nvml, nvml.nvmlDeviceGetPowerUsage, device)
    millijoules = _answer(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, device)
    reasons = _answer(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, device)
    return AcceleratorActivity(
        pool_id=pool_id,
        busy=None if rates is None else rates.gpu / 100,
        temperature_c=None if celsius is None else float(celsius),
        power_w=None if milliwatts is None else milliwatts / 1000,
        energy_j=None if millijoules is None else millijoules / 1000,
        throttled=None if reasons is None else bool(reasons & _HOT),
    )


def _answer(nvml: ModuleType, ask: Callable[..., Any], *about: Any) -> Any:
    """None where this GPU or this driver does not know the question, or we may not ask it."""
    try:
        return ask(*about)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
        return None


@contextmanager
def opened_driver(nvml: ModuleType) -> Iterator[None]:
    # Closed after every reading: a driver that somebody holds open cannot be updated without a restart.
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def has_nvidia_gpu(root: Path) -> bool:
    """Whether an NVIDIA display device is on the PCI bus (Linux), whatever its driver."""
    for device in (root / "sys/bus/pci/devices").glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == _PCI_VENDOR and kind.startswith(_PCI_DISPLAY):
            return True
    return False
