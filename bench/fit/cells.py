"""What is measured: a model in one artifact, under one engine kind, with so many requests of so many tokens."""

from dataclasses import dataclass

from bench.fit.memory import Usage
from inventory.catalog import ModelShape
from nodes.snapshot import EngineKind, MemoryItem


@dataclass(frozen=True, slots=True)
class Cell:
    model: str
    kind: EngineKind
    context_tokens: int  # of each request
    slots: int

    def __str__(self) -> str:
        return f"{self.model} under {self.kind}, {self.slots} x {self.context_tokens} tokens"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One cell. Where `error` is set the engine could not do it, and that is its own last word on it."""

    cell: Cell
    engine_version: str
    artifact: str  # its name in the cache of models, which changes with whatever it is made from
    artifact_bytes: int
    shape: ModelShape
    rest: Usage | None = None  # loaded, and no request so far
    peak: Usage | None = None  # while all requests were as long as they may be
    filled_tokens: int = 0  # of all requests together, as the engine counts them
    accounts: tuple[MemoryItem, ...] = ()  # what the engine says itself
    seconds: float = 0.0
    error: str | None = None
    copied_bytes: int = (
        0  # of the file's pages, that the engine has made its own copy of: page cache (nodes.engines.accounts)
    )
