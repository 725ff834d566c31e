"""What is asked of every target, and the figures that one run of the load generator brings back."""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.one_machine import BenchError
from bench.relay.machine import pinned
from bench.relay.targets import Target, tail_of

STREAM_TOKENS = 100
PACED_FIRST_MS = 20
PACED_GAP_MS = 10


@dataclass(frozen=True, slots=True)
class Scenario:
    """`seconds` is how long new requests begin; `tokens` is 0 for answers that are not streamed."""

    name: str
    connections: int
    seconds: float
    tokens: int = 0
    paced: bool = False
    dialect: str = "chat"

    def arguments(self) -> tuple[str, ...]:
        pace = ("--first-ms", str(PACED_FIRST_MS), "--gap-ms", str(PACED_GAP_MS)) if self.paced else ()
        count = ("--connections", str(self.connections), "--seconds", str(self.seconds), "--tokens", str(self.tokens))
        return (*count, *pace, "--dialect", self.dialect)

    def warm_up(self) -> "Scenario":
        return replace(self, seconds=0.1)


LATENCY, REQUESTS_16, REQUESTS_64 = "latency", "requests-16", "requests-64"
PACED_64, SATURATED_64 = "paced-64", "saturated-64"


def scenarios(quick: bool) -> tuple[Scenario, ...]:
    """Windows long enough for 1 % of clock-tick error in CPU time; `quick` only shows that everything works."""
    scale = 0.25 if quick else 1.0
    return (
        Scenario(LATENCY, 1, 1.0 * scale),
        Scenario(REQUESTS_16, 16, 2.0 * scale),
        Scenario(REQUESTS_64, 64, 2.0 * scale),
        Scenario(PACED_64, 64, 1.0 if quick else 3.0, STREAM_TOKENS, paced=True),
        Scenario(SATURATED_64, 64, 2.0 * scale, STREAM_TOKENS),
    )


TRANSLATED = ("messages", "responses", "ollama_chat")


def translated(quick: bool) -> tuple[Scenario, ...]:
    """The same, in dialects that only the gateway speaks."""
    wanted = (REQUESTS_16, PACED_64, SATURATED_64)
    plan = [scenario for scenario in scenarios(quick) if scenario.name in wanted]
    return tuple(
        replace(scenario, name=in_dialect(scenario.name, dialect), dialect=dialect)
        for dialect in TRANSLATED
        for scenario in plan
    )


def in_dialect(scenario: str, dialect: str) -> str:
    return scenario if dialect == "chat" else f"{scenario} {dialect}"


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator measured. `first` is to the first token, `whole` to the last byte."""

    requests: int
    tokens: int
    seconds: float
    first_p50_ms: float
    first_p99_ms: float
    whole_p50_ms: float
    whole_p99_ms: float
    gap_p99_ms: float = 0.0  # from one token of a stream to the next


@dataclass(frozen=True, slots=True)
class Sample:
    """One scenario against one target in one round. CPU and RSS are None for a target without a process of its own."""

    round: int
    target: str
    scenario: str
    load: Load
    cpu_s: float | None
    rss_bytes: int | None


class LoadFailedError(BenchError):
    """An answer was wrong or missing. The bench's entry prints it and exits 1: such a run measures nothing."""

    def __init__(self, target: Target, scenario: str, detail: str) -> None:
        super().__init__(
            f"{scenario} against {target.name} failed: {detail[:2000]}\nthe end of its log:\n{tail_of(target.log)}"
        )
        self.target, self.scenario, self.detail = target.name, scenario, detail


class LoadGenerator:
    """Runs the load program against one target at a time, and charges the target for that time."""

    def __init__(self, program: Path, core: int | None) -> None:
        self._program, self._core = program, core

    def measure(self, round_number: int, scenario: Scenario, target: Target) -> Sample:
        before = target.usage()
        load = self.drive(scenario, target)
        after = target.usage()
        cpu_s = None if before is None or after is None else after.cpu_s - before.cpu_s
        return Sample(round_number, target.name, scenario.name, load, cpu_s, None if after is None else after.rss_bytes)

    def drive(self, scenario: Scenario, target: Target) -> Load:
        bearer = target.launch.bearer_file
        command = (
            str(self._program),
            *("--port", str(target.launch.port)),
            *scenario.arguments(),
            *(() if bearer is None else ("--bearer-file", str(bearer))),
        )
        ended = subprocess.run(pinned(command, self._core), capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise LoadFailedError(target, scenario.name, ended.stderr.strip())
        return msgspec.json.decode(ended.stdout, type=Load)
