"""Which machines Ray can join: it wants its own version everywhere, and one minor version of Python."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class Versions:
    """`ray` is "" where it is not installed."""

    python: str
    ray: str


def versions_here() -> Versions:
    try:
        return Versions(platform.python_version(), version("ray"))
    except PackageNotFoundError:
        return Versions(platform.python_version(), "")


def why_apart(machine: Versions, head: Versions) -> str:
    """Why a machine with these versions cannot be in Ray with that head; "" if it can."""
    if not machine.ray:
        return "Ray is not installed there; on that machine: pip install 'ray>=2.60'"
    if not head.ray:
        return "Ray is not installed on the head; there: pip install 'ray>=2.60'"
    if _minor(machine.python) != _minor(head.python):
        return f"Python {machine.python} there, {head.python} at the head; Ray wants one minor version"
    if machine.ray != head.ray:
        return f"Ray {machine.ray} there, {head.ray} at the head; Ray wants one version"
    return ""


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]
