"""A driver's management library that plays a sample: the calls of `pynvml` that the probe makes, its real errors."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml

SAMPLES = Path(__file__).parent.parent / "inventory" / "samples" / "nvidia"
MIB = 1 << 20


class SampleDriver:
    """`failure` is what nvmlInit ends with; `lost` GPUs do not answer, `silent` ones hide their memory."""

    def __init__(
        self,
        sample: str | None = None,
        failure: int | None = None,
        lost: tuple[int, ...] = (),
        silent: tuple[int, ...] = (),
    ) -> None:
        content = json.loads((SAMPLES / f"{sample}.json").read_text()) if sample else {"driver": None, "devices": []}
        self._version, self._devices = content["driver"], content["devices"]
        for index in silent:
            self._devices[index]["mib"] = None
        self._failure, self._lost = failure, lost
        self.open = 0

    def module(self) -> ModuleType:
        module = ModuleType("pynvml")
        for name in dir(pynvml):
            if name.startswith("NVML"):
                setattr(module, name, getattr(pynvml, name))
        for name, call in self._calls().items():
            setattr(module, name, call)
        return module

    def _calls(self) -> dict[str, Callable[..., Any]]:
        return {
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlSystemGetDriverVersion": lambda: self._version,
            "nvmlDeviceGetCount": lambda: len(self._devices),
            "nvmlDeviceGetHandleByIndex": self._device,
            "nvmlDeviceGetName": lambda device: device["name"],
            "nvmlDeviceGetCudaComputeCapability": lambda device: tuple(device["compute"]),
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetComputeRunningProcesses": self._processes,
            "nvmlDeviceGetUtilizationRates": lambda device: SimpleNamespace(gpu=_does(device, "percent"), memory=0),
            "nvmlDeviceGetTemperature": lambda device, _sensor: _does(device, "celsius"),
            "nvmlDeviceGetPowerUsage": lambda device: _does(device, "milliwatts"),
            "nvmlDeviceGetTotalEnergyConsumption": lambda device: _does(device, "millijoules"),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda device: _does(device, "reasons"),
            "nvmlDeviceGetMigMode": self._mig_mode,
            "nvmlDeviceGetMaxMigDeviceCount": lambda device: device["mig"]["places"],
            "nvmlDeviceGetMigDeviceHandleByIndex": self._instance,
        }

    def _init(self) -> None:
        if self._failure is not None:
            raise pynvml.NVMLError(self._failure)
        self.open += 1

    def _shutdown(self) -> None:
        self.open -= 1

    def _device(self, index: int) -> Any:
        if index in self._lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self._devices[index]

    def _instance(self, device: Any, number: int) -> Any:
        return _known(device["mig"]["instances"].get(str(number)), pynvml.NVML_ERROR_NOT_FOUND)

    @staticmethod
    def _memory(device: Any) -> SimpleNamespace:
        total, used = _known(device["mib"])
        return SimpleNamespace(total=total * MIB, used=used * MIB, free=(total - used) * MIB)

    @staticmethod
    def _processes(device: Any) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=None if used is None else used * MIB)
            for pid, used in _known(device["processes"], pynvml.NVML_ERROR_NO_PERMISSION)
        ]

    @staticmethod
    def _mig_mode(device: Any) -> list[int]:
        _known(device.get("mig"))
        return [pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE]


def _does(device: Any, what: str) -> Any:
    return _known(device.get("does", {}).get(what))


def _known(answer: Any, otherwise: int = pynvml.NVML_ERROR_NOT_SUPPORTED) -> Any:
    if answer is None:
        raise pynvml.NVMLError(otherwise)
    return answer
