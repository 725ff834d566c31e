"""Whose memory it is: each pool of a machine, taken apart as far as engines give an account of what they hold."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from inventory.hardware import MemoryPool
from nodes.snapshot import EngineSnapshot, MemoryTerm, NodeSnapshot

_PART_OF: dict[MemoryTerm, str] = {
    "weights": "weights",
    "kv cache": "kv",
    "recurrent state": "kv",
    "kept prompts": "kv",
}


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a pool. `engines`: of those that give no account of their parts. `other`: all that is not potluck's.
    None where it cannot be told."""

    weights: int | None = None
    kv: int | None = None
    runtime: int | None = None
    engines: int | None = None
    other: int | None = None
    free: int | None = None  # of the budget


class Pool(msgspec.Struct, frozen=True):
    kind: str
    total_bytes: int
    reserved_bytes: int
    parts: Parts
    budget_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Share:
    """Of one engine in one pool."""

    weights: int = 0
    kv: int = 0
    runtime: int = 0
    unsplit: int = 0


def pools_of(snapshot: NodeSnapshot) -> dict[str, Pool]:
    pools = snapshot.hardware.pools
    gpus = sum(pool.kind == "vram" for pool in pools)
    return {pool.pool_id: _pool(pool, snapshot.engines, alone=gpus == 1) for pool in pools}


def _pool(pool: MemoryPool, engines: Iterable[EngineSnapshot], alone: bool) -> Pool:
    running = [engine for engine in engines if engine.pid is not None]
    shares: list[_Share] | None
    if pool.kind != "vram":
        shares = _shares((engine, engine.memory_bytes, not engine.vram_bytes) for engine in running)
    elif alone:
        shares = _shares((engine, engine.vram_bytes or 0, True) for engine in running)
    else:
        shares = None if running else []  # a driver tells what a process has on all GPUs together
    parts = _parts(pool, shares)
    return Pool(pool.kind, pool.total_bytes, pool.reserved_bytes, parts, pool.budget_bytes)


def _shares(held: Iterable[tuple[EngineSnapshot, int | None, bool]]) -> list[_Share] | None:
    """None where the bytes of one of them cannot be read."""
    found: list[_Share] = []
    for engine, size, its_account in held:
        if size is None:
            return None
        found.append(_share(engine, size) if its_account else _Share(runtime=size))
    return found


def _share(engine: EngineSnapshot, size: int) -> _Share:
    """By its own account, where that does not tell more than there is. The rest is its runtime's, unless weights may be
    in it."""
    told = {"weights": 0, "kv": 0, "runtime": 0}
    for item in engine.memory_items:
        if len(item.terms) == 1:
            told[_PART_OF.get(item.terms[0], "runtime")] += item.size_bytes
    rest = size - sum(told.values())
    if rest < 0 or not any(told.values()):
        return _Share(unsplit=size)
    if not told["weights"]:
        return _Share(kv=told["kv"], runtime=told["runtime"], unsplit=rest)
    return _Share(told["weights"], told["kv"], told["runtime"] + rest)


def _parts(pool: MemoryPool, shares: list[_Share] | None) -> Parts:
    other, budget = pool.used_by_others_bytes, pool.budget_bytes
    if shares is None:
        return Parts(other=other)
    weights, kv = sum(one.weights for one in shares), sum(one.kv for one in shares)
    runtime, unsplit = sum(one.runtime for one in shares), sum(one.unsplit for one in shares)
    free = None if budget is None else max(0, budget - weights - kv - runtime - unsplit)
    return Parts(weights=weights, kv=kv, runtime=runtime, engines=unsplit, other=other, free=free)
