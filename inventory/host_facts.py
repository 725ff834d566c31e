"""The facts about a host that do not change while it is up: operating system, processor, boot."""

import platform
import subprocess
from pathlib import Path
from typing import Literal

import psutil

from inventory.hardware import Host

_ARCHITECTURES = {"aarch64": "arm64", "amd64": "x86_64", "x64": "x86_64"}


def read_host(root: Path = Path("/")) -> Host:
    machine = platform.machine().lower()
    return Host(
        os=_system(),
        os_version=_version(),
        arch=_ARCHITECTURES.get(machine, machine),
        cpu_model=_cpu_model(root),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        boot_id=_boot_id(root),
    )


def _system() -> Literal["linux", "macos", "windows", "other"]:
    if psutil.LINUX:
        return "linux"
    return "macos" if psutil.MACOS else "windows" if psutil.WINDOWS else "other"


def _version() -> str:
    if psutil.MACOS:
        return platform.mac_ver()[0]
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.release()


def _cpu_model(root: Path) -> str | None:
    if psutil.MACOS:
        return _sysctl("machdep.cpu.brand_string")
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in fields if key.strip() in ("model name", "Model")), None)


def _boot_id(root: Path) -> str | None:
    if psutil.MACOS:
        # kern.boottime moves when the clock is set, so the session's UUID comes first.
        return _sysctl("kern.bootsessionuuid") or f"boottime-{int(psutil.boot_time())}"
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def _sysctl(name: str) -> str | None:
    try:
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
