"""Whether the dashboard's page was built from its sources as they are: `make check` asks, without building it."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES, BUILT = "router/dashboard/web", "router/dashboard/static/BUILT"


def sources_of(root: Path) -> dict[str, bytes]:
    """What git keeps of them, as it lies there now."""
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=root / SOURCES, check=True, capture_output=True)
    paths = [name for name in listed.stdout.decode().split("\0") if name]
    return {name: (root / SOURCES / name).read_bytes() for name in paths if (root / SOURCES / name).exists()}


def fingerprint(sources: dict[str, bytes]) -> str:
    """As web/built.mjs writes it beside the page."""
    lines = [f"{name} {hashlib.sha256(sources[name]).hexdigest()}\n".encode() for name in sorted(sources, key=_bytes)]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _bytes(name: str) -> bytes:
    return name.encode()


def stale(root: Path) -> bool:
    return fingerprint(sources_of(root)) != (root / BUILT).read_text().strip()


if __name__ == "__main__":
    if stale(ROOT):
        sys.exit(f"{BUILT} was made from other sources than {SOURCES} holds; build the page anew: make web")
