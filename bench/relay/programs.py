"""The programs the bench needs and potluck does not: compiled, unpacked or installed once, below a cache directory."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.one_machine import BenchError

SOURCES = Path(__file__).parent
VLLM_ROUTER_VERSION = "0.1.17"


class MissingProgramError(BenchError):
    """A program that can be neither found nor made. The bench's entry prints it and exits 1."""

    def __init__(self, program: str, detail: str) -> None:
        super().__init__(f"{program}: {detail}")
        self.program, self.detail = program, detail


def compiled(name: str, cache: Path) -> Path:
    """`name`.cpp as an executable. The digest of its sources is part of its name, so an edit compiles afresh."""
    sources = (SOURCES / f"{name}.cpp", SOURCES / "wire.hpp")
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    binary = cache / f"{name}-{digest}"
    if not binary.exists():
        compiler = os.environ.get("CXX", "c++")
        unfinished = binary.with_suffix(f".{os.getpid()}")
        _run(name, (compiler, "-std=c++20", "-O2", str(sources[0]), "-o", str(unfinished)))
        unfinished.replace(binary)
    return binary


def nginx(cache: Path) -> Path:
    """The machine's nginx, or Debian's package unpacked into the cache.

    Unpacked rather than installed: installing it would start a system service on port 80.
    """
    unpacked = cache / "nginx" / "usr/sbin/nginx"
    for candidate in (shutil.which("nginx"), "/usr/sbin/nginx", unpacked):
        if candidate is not None and Path(candidate).exists():
            return Path(candidate)
    if shutil.which("apt-get") is None:
        raise MissingProgramError(
            "nginx", "not on the PATH, and this is not Debian: install it, or use --without nginx"
        )
    downloads = cache / "debian"
    downloads.mkdir(parents=True, exist_ok=True)
    download = ("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", "nginx")
    try:
        _run("nginx", download, cwd=downloads)
    except MissingProgramError:
        if os.geteuid() != 0:
            raise
        _run("nginx", ("apt-get", "update", "-q"))  # a fresh container has no package lists
        _run("nginx", download, cwd=downloads)
    package = max(downloads.glob("nginx_*.deb"), key=lambda path: path.stat().st_mtime)
    _run("nginx", ("dpkg-deb", "-x", str(package), str(cache / "nginx")))
    return unpacked


def vllm_router(cache: Path) -> Path:
    """The Rust router of the vLLM project in an environment of its own."""
    environment = cache / f"vllm-router-{VLLM_ROUTER_VERSION}"
    command = environment / "bin" / "vllm-router"
    if not command.exists():
        uv = _uv()
        _run("vllm-router", (uv, "venv", "-q", "--clear", "--python", sys.executable, str(environment)))
        package = f"vllm-router=={VLLM_ROUTER_VERSION}"
        _run("vllm-router", (uv, "pip", "install", "-q", "--python", str(environment / "bin/python"), package))
    return command


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise MissingProgramError("uv", "neither in this environment nor on the PATH: run through `make bench-relay`")
    return found


def _run(program: str, command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MissingProgramError(program, f"{command[0]} is not on the PATH") from error
    except subprocess.CalledProcessError as error:
        raise MissingProgramError(program, f"{' '.join(command)} failed:\n{error.stderr}") from error
