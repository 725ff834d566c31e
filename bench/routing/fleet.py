"""Machines to simulate: three fleets with published rates, or one from a file (see docs/bench-routing.md)."""

from pathlib import Path

import msgspec

from nodes.rates import Rates


class EngineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    prefill: float  # tokens a second
    doubling_tokens: float
    step_s: float
    step_per_request_s: float
    step_per_token_s: float
    slots: int
    cache_tokens: int
    context_tokens: int
    chunk_tokens: int = 2048
    least_prompt_s: float = 0.0  # that any prompt takes, however much of it is cached

    @property
    def rates(self) -> Rates:
        return Rates(self.prefill, self.doubling_tokens, self.step_s, self.step_per_request_s, self.step_per_token_s,
                     self.chunk_tokens)  # fmt: skip


class NodeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    engines: tuple[EngineSpec, ...]
    round_trip_s: float = 0.002


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    nodes: tuple[NodeSpec, ...]


# Steps, prefill and caches are published figures; what a step costs for each token of context is the cache's bytes over
# the memory's bandwidth, and where a prompt token costs twice the first is where attention costs what the weights do.
_MAC = NodeSpec("mac", (
    EngineSpec("8b", 1300, 30_000, 0.0105, 0.0015, 1.6e-7, 32, 500_000, 131_072),
    EngineSpec("30b", 1900, 32_000, 0.0115, 0.0020, 1.2e-7, 32, 500_000, 131_072),
    EngineSpec("70b", 150, 50_000, 0.072, 0.012, 4.0e-7, 16, 300_000, 131_072),
))  # fmt: skip
_GPU = NodeSpec("rtx4090", (EngineSpec("30b", 7500, 32_000, 0.0065, 0.00045, 1.0e-7, 48, 80_000, 80_000),))
_CPU = NodeSpec("cpu", (
    EngineSpec("8b", 180, 30_000, 0.036, 0.006, 3.0e-7, 4, 65_000, 65_000, 512),
    EngineSpec("30b", 220, 32_000, 0.028, 0.008, 2.5e-7, 4, 65_000, 65_000, 512),
))  # fmt: skip

FLEETS = {
    "f1": Fleet("f1", (_MAC, _GPU, _CPU)),
    "f2": Fleet("f2", (_MAC, _GPU)),
    "h2": Fleet("h2", (_GPU, NodeSpec("rtx4090-b", _GPU.engines))),
}


def fleet_of(wanted: str) -> Fleet:
    """By name, or from a JSON file. Raises OSError or msgspec.ValidationError, which say what is wrong with it."""
    return FLEETS[wanted] if wanted in FLEETS else msgspec.json.decode(Path(wanted).read_bytes(), type=Fleet)
