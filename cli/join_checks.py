"""What `potluck join` looks at besides the token, in words. Each finding has a next step where one helps."""

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cli.checks.finding import Finding
from inventory.hardware import Hardware
from inventory.sizes import format_bytes
from nodes.join_wire import Joined
from nodes.ray_versions import Versions, why_apart
from nodes.snapshot import InstalledEngine

CLOCK_LIMIT_S = 60.0
BATTERIES = Path("/sys/class/power_supply")


def check_clock(joined: Joined, here_s: float) -> Finding:
    """Certificates hold between two instants; a clock that is far off makes them look expired."""
    off_s = here_s - joined.wall_s
    detail = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the head's"
    if abs(off_s) <= CLOCK_LIMIT_S:
        return Finding("clock", "ok", detail)
    fix = "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "sudo timedatectl set-ntp true"
    return Finding("clock", "warn", detail, fix)


def check_versions(joined: Joined, here: Versions) -> Finding:
    """Where Ray cannot join them the machine is reached over https instead, and loses nothing else."""
    detail = f"python {here.python}, ray {here.ray or 'absent'}, potluck {version('potluck')}"
    apart = why_apart(here, Versions(joined.python, joined.ray))
    if not apart:
        return Finding("versions", "ok", detail)
    return Finding("versions", "warn", f"{detail}; {apart}. The link to here is https, without Ray")


def check_engines(engines: Sequence[InstalledEngine]) -> Finding:
    if engines:
        return Finding("engines", "ok", ", ".join(f"{engine.kind} {engine.version}" for engine in engines))
    kind = "mlx" if sys.platform == "darwin" and platform.machine() == "arm64" else "llamacpp"
    return Finding("engines", "warn", "none is installed, so nothing can run here", f"potluck engines install {kind}")


def check_memory(hardware: Hardware) -> Finding:
    pools = [
        f"{pool.pool_id} {format_bytes(pool.budget_bytes)} of {format_bytes(pool.total_bytes)}"
        for pool in hardware.pools
        if pool.budget_bytes is not None
    ]
    if pools:
        return Finding("memory", "ok", f"for models: {', '.join(pools)}")
    return Finding("memory", "warn", "how much is free cannot be read here", "potluck doctor")


def check_sleep() -> Finding:
    """A machine that sleeps is a machine that is lost."""
    if sys.platform == "darwin":
        return sleep_on_macos(_output("pmset", "-g"))
    laptop = BATTERIES.exists() and any(BATTERIES.glob("BAT*"))
    if not laptop:
        return Finding("sleep", "ok", "no battery, so this machine is taken for one that stays awake")
    return Finding("sleep", "warn", "this is a laptop", "sudo systemctl mask sleep.target suspend.target")


def sleep_on_macos(pmset: str) -> Finding:
    """`pmset -g` has a line ` sleep  10 (...)`; 0 is never."""
    found = re.search(r"^\s*sleep\s+(\d+)", pmset, re.MULTILINE)
    if found is None:
        return Finding("sleep", "warn", "pmset does not tell when this machine sleeps", "sudo pmset -a sleep 0")
    if found.group(1) == "0":
        return Finding("sleep", "ok", "this machine never sleeps by itself")
    return Finding("sleep", "warn", f"this machine sleeps after {found.group(1)} minutes", "sudo pmset -a sleep 0")


def _output(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
