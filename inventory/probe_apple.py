"""Apple chips: one memory for processor and GPU, of which the GPU may hold a part."""

import subprocess
from collections.abc import Callable

import psutil

from inventory.apple_facts import KEYS, parse_sysctl, reading_of
from inventory.host_memory import read_host_memory
from inventory.probe import Reading


def ask_sysctl() -> str | None:
    """What macOS says; None on another system, or where it cannot be asked."""
    if not psutil.MACOS:
        return None
    try:
        # -i passes over names that this version does not have (iogpu came with macOS 14).
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-i", *KEYS], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout


class AppleProbe:
    name = "apple"

    def __init__(self, reserved_bytes: int | None = None, ask: Callable[[], str | None] = ask_sysctl) -> None:
        self._reserved_bytes, self._ask = reserved_bytes, ask

    def read(self, own_pids: frozenset[int]) -> Reading:
        text = self._ask()
        if text is None:
            return Reading()
        return reading_of(parse_sysctl(text), read_host_memory(own_pids), self._reserved_bytes)
