"""What an engine adapter is: potluck's words in; one engine's command line, paths and metrics out. It never spawns."""

import difflib
from dataclasses import dataclass
from typing import Protocol

from inventory.catalog import HeldModel, Purpose
from inventory.hardware import Hardware
from nodes.snapshot import EngineId, EngineKind, EngineLoad


@dataclass(frozen=True, slots=True)
class EngineLaunch:
    """Everything one start of an engine needs. Paths are absolute; the port is on loopback."""

    engine_id: EngineId
    model_path: str  # a file, or the folder of a model that is one
    served_name: str
    port: int
    context_tokens: int  # per request
    slots: int
    secret_file: str | None
    python: str  # of the engine kind's own environment
    working_dir: str
    cache_dir: str  # what the engine makes for itself, and makes again where it is gone; others of its kind share it
    accelerated: bool  # the node has a GPU that this build of the engine uses
    kv_cache_bytes: int | None = None  # what the cache of all requests takes; None where the model's shape is unknown
    state_cache_bytes: int = 0  # beside them, what states of layers take in the same cache: it grows with slots alone
    options: tuple[tuple[str, str], ...] = ()
    cache_tokens: int = 0  # that all requests share; 0: each slot has a context of its own
    purpose: Purpose = "write"
    whole_tokens: int = 0  # of the longest text, by a model that has to see a text whole; 0: it reads in parts


@dataclass(frozen=True, slots=True)
class Command:
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]  # on top of the few variables that every engine inherits
    working_dir: str


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where an engine answers three different questions: has it started, what does it serve, is it getting on?"""

    health: str
    models: str
    metrics: str | None
    trim: str | None = None  # a POST here gives back caches of earlier prompts; None where they are preallocated


@dataclass(frozen=True, slots=True)
class EngineOption:
    """One option an operator may set in cluster.yaml: a whole number of at least `minimum`, or one of `choices`."""

    name: str
    default: str
    meaning: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()


class EngineOptionError(Exception):
    """An option this engine kind does not have, or a value it cannot take. The node API answers 422."""

    def __init__(self, kind: EngineKind, option: str, message: str) -> None:
        super().__init__(f"engine option {option!r} of {kind}: {message}")
        self.kind, self.option = kind, option


class EngineAdapter(Protocol):
    """One engine kind. Pure: the same arguments always give the same answer."""

    @property
    def kind(self) -> EngineKind: ...

    @property
    def paths(self) -> EnginePaths: ...

    @property
    def port_taken_exit_code(self) -> int | None:
        """The exit status that means "somebody else has this port", or None where the engine does not tell."""
        ...

    def why_not(self, model: HeldModel, hardware: Hardware) -> str | None:
        """Why this model cannot run here under this engine; None when it can."""
        ...

    def check_options(self, options: tuple[tuple[str, str], ...]) -> None:
        """Raises EngineOptionError for the first option that is wrong."""
        ...

    def command(self, launch: EngineLaunch) -> Command: ...

    def parse_load(self, metrics_text: str) -> EngineLoad: ...


def resolve_options(
    kind: EngineKind, known: tuple[EngineOption, ...], given: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    """Every known option with the given value or its default. Raises EngineOptionError."""
    by_name = {option.name: option for option in known}
    values = {option.name: option.default for option in known}
    for name, value in given:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(by_name))}"
            raise EngineOptionError(kind, name, f"there is no such option; {hint}")
        _check_value(kind, by_name[name], value)
        values[name] = value
    return values


def _check_value(kind: EngineKind, option: EngineOption, value: str) -> None:
    if option.choices and value not in option.choices:
        raise EngineOptionError(kind, option.name, f"{value!r} is none of {', '.join(option.choices)}")
    if option.minimum is not None:
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise EngineOptionError(kind, option.name, f"{value!r} is not a whole number")
        if int(value) < option.minimum:
            raise EngineOptionError(kind, option.name, f"{value} is less than {option.minimum}")
