"""The policies compared on the three real engines of this machine, each with a share of its processors.

For a table, not for a bound: how fast each is on processors that they share is this machine's affair.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.catalog import ArtifactFormat
from inventory.clock import SystemClock
from inventory.host_memory import with_descendants
from inventory.paths import StatePaths
from inventory.store import ModelStore
from inventory.store_records import held_of
from nodes.engine_body import Workshop
from nodes.engine_probe import authorization
from nodes.engine_profile import EngineProfile
from nodes.engines.base import EngineAdapter
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.engines.mlx import MlxAdapter
from nodes.engines.vllm import VllmAdapter
from nodes.launching import NodeFacts, NodeLauncher
from nodes.leases import reap
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.nodes import pid_of, until
from support.policy_load import Load
from support.policy_runs import compared
from support.real_engines import installed_engine, this_machine

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

CPU = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 100_000
SHARES: dict[EngineKind, float] = {"llamacpp": 0.5, "vllm": 0.5, "mlx": 0.9}  # processors
FORMATS: dict[EngineKind, ArtifactFormat] = {"llamacpp": "gguf", "vllm": "safetensors", "mlx": "mlx"}
LOAD = Load(per_s=0.8, short=(3, 10), long=(15, 25), answer=(4, 8), requests=24, warm=8, silence_s=300.0)
START_DEADLINE_S = 420.0


@contextmanager
def share_of_processors(pids: frozenset[int], processors: float) -> Iterator[None]:
    group = CPU / f"potluck-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD_US * processors)))
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (CPU / "cgroup.procs").write_text(left)
        group.rmdir()


@asynccontextmanager
async def machines(root: Path, engines_dir: Path, store: ModelStore) -> AsyncIterator[dict[str, EngineSnapshot]]:
    """One for each kind, by its name, measured with its share of the processors."""
    paths, clock = StatePaths.at(root / "node").ensure(), SystemClock()
    adapters: dict[EngineKind, EngineAdapter] = {
        "llamacpp": LlamaCppAdapter(),
        "vllm": VllmAdapter(),
        "mlx": MlxAdapter(),
    }
    launcher = NodeLauncher(engines_dir, store, adapters, NodeFacts(this_machine()))
    found: dict[str, EngineSnapshot] = {}
    try:
        async with supervising(Workshop(paths, clock, adapters, launcher), LifecyclePolicy(), lambda: None) as nodes:
            with ExitStack() as stack:
                for kind, share in SHARES.items():
                    engine = await started(nodes, store, engines_dir, kind)
                    stack.enter_context(share_of_processors(with_descendants(frozenset((pid_of(engine),))), share))
                    assert engine.endpoint is not None
                    headers = authorization(engine.endpoint)
                    profile = EngineProfile(engine.endpoint, headers, engine.model.name, engine.context_tokens, clock)
                    found[kind] = replace(engine, rates=await profile.rates(slots=2))
                    print(f"{kind:9} {share} processors: {found[kind].rates}")
                yield found
                await nodes.stop_all()
    finally:
        reap(paths.leases, grace_s=1.0)


async def started(nodes: Supervisor, store: ModelStore, engines_dir: Path, kind: EngineKind) -> EngineSnapshot:
    installed_engine(kind, engines_dir)
    held = held_of(store.get("smollm2", FORMATS[kind]))
    spec = EngineSpec(EngineId(f"smollm2-{kind}"), kind, held.ref, context_tokens=1024, slots=2)
    nodes.ensure(spec, Authority(epoch=1, config_revision=1))

    def look() -> EngineSnapshot | None:
        engine = next(one for one in nodes.snapshots() if one.kind == kind)
        assert engine.state not in ("backoff", "quarantined"), engine.reason
        return engine if engine.state == "ready" else None

    return await until(look, f"{kind} is ready", START_DEADLINE_S)


async def test_seconds_beside_counts_on_three_engines_that_share_a_machine(
    tmp_path: Path, engines_dir: Path, all_formats: ModelStore
) -> None:
    if not CPU.is_dir():
        pytest.skip("needs the cpu controller of cgroups, version 1")
    async with machines(tmp_path, engines_dir, all_formats) as engines:
        assert all(engine.rates is not None for engine in engines.values())
        found = await compared(tmp_path, engines, LOAD, pairs=1)
    print("\n".join(found.lines("real_policies")))

    assert all(len(taken) == LOAD.requests for taken in found.taken.values())
