"""Start the fault engine from a test: a context manager, an adapter for the supervisor, and no sleeping."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import Request, urlopen

from inventory.catalog import HeldModel
from inventory.hardware import Hardware
from nodes.engines.base import Command, EngineLaunch, EnginePaths
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.snapshot import EngineKind, EngineLoad
from support.fault_engine.answers import Answer

KINDS: tuple[EngineKind, ...] = ("vllm", "llamacpp", "mlx")  # that chat
FAULT_ENGINE = Path(__file__).parent / "fault_engine"


@dataclass(frozen=True)
class FaultEngine:
    """One running fault engine."""

    process: subprocess.Popen[bytes]
    port: int
    key: str | None
    kind: EngineKind

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def inject(self, **faults: object) -> None:
        """Change what it does wrong from here on: `inject(frozen=True)`."""
        fault_state(self.port, faults)

    def answers(self) -> dict[str, Answer]:
        """What it made for each request, by the id that the request came with."""
        with urlopen(f"{self.base_url}/answers", timeout=60) as answer:
            return {name: Answer(**fields) for name, fields in json.loads(answer.read()).items()}

    def script(self, *turns: dict[str, object]) -> None:
        """Its next answers to chats: {"content": …, "reasoning": …, "tool_calls": [(name, arguments)]}."""
        with urlopen(Request(f"{self.base_url}/script", data=json.dumps(turns).encode()), timeout=60):
            pass

    def asked(self) -> list[dict[str, Any]]:
        """Bodies of the chats that it answered by its script."""
        with urlopen(f"{self.base_url}/script", timeout=60) as answer:
            bodies: list[dict[str, Any]] = json.loads(answer.read())
            return bodies

    def state(self) -> dict[str, int]:
        """Requests that are active, cancelled, finished, and tokens made so far."""
        return fault_state(self.port)


def fault_state(port: int, faults: dict[str, object] | None = None) -> dict[str, int]:
    """`GET /fault`, or `POST /fault` of the fault engine that listens on `port`."""
    data = None if faults is None else json.dumps(faults).encode()
    with urlopen(Request(f"http://127.0.0.1:{port}/fault", data=data), timeout=60) as answer:
        document: dict[str, int] = json.loads(answer.read())
        return document


@contextmanager
def running_fault_engine(
    directory: Path, dialect: EngineKind, *flags: str, key: str | None = None
) -> Iterator[FaultEngine]:
    """A fault engine on a free port, ended with the block. `flags` are those of `python fault_engine --help`."""
    directory.mkdir(parents=True, exist_ok=True)
    port_file = directory / "port"
    port_file.unlink(missing_ok=True)
    arguments = ["--dialect", dialect, "--port-file", str(port_file), *flags]
    if key is not None:
        (directory / "key").write_text(key)
        arguments += ["--api-key-file", str(directory / "key")]
    log = (directory / "engine.log").open("wb")
    with log, subprocess.Popen([sys.executable, "-I", FAULT_ENGINE, *arguments], stdout=log, stderr=log) as process:
        try:
            yield FaultEngine(process, _port_of(process, port_file), key, dialect)
        finally:
            process.kill()


def _port_of(process: subprocess.Popen[bytes], port_file: Path) -> int:
    end = monotonic() + 30
    while not port_file.exists():
        assert process.poll() is None, f"the fault engine exited with {process.returncode}"
        assert monotonic() < end, "the fault engine did not start within 30 s"
        sleep(0.01)
    return int(port_file.read_text())


class FaultAdapter:
    """Lets the supervisor run fault engines in place of llama.cpp. Faults are options of the engine's spec."""

    kind: EngineKind = "llamacpp"
    paths = EnginePaths(health="/health", models="/v1/models", metrics="/metrics")
    port_taken_exit_code = 98

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        return None

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        """Every option is a flag; the fault engine itself refuses those it does not know."""

    def command(self, launch: EngineLaunch) -> Command:
        words = [sys.executable, "-I", str(FAULT_ENGINE), "--dialect", "llamacpp", "--port", str(launch.port)]
        words += ["--model-name", launch.served_name, "--slots", str(launch.slots)]
        if launch.secret_file:
            words += ["--api-key-file", launch.secret_file]
        for name, value in launch.options:
            words += [f"--{name}", value] if value else [f"--{name}"]
        return Command(tuple(words), (), launch.working_dir)

    def parse_load(self, metrics_text: str) -> EngineLoad:
        return LlamaCppAdapter().parse_load(metrics_text)
