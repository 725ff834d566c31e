"""The launch of an engine, as a node would plan it, for tests of the adapters' command lines."""

from nodes.engines.base import EngineLaunch
from nodes.snapshot import EngineId, EngineKind


def a_launch(kind: EngineKind, model_path: str, kv_cache_bytes: int | None = None) -> EngineLaunch:
    return EngineLaunch(
        engine_id=EngineId("smollm2-1"),
        model_path=model_path,
        served_name="smollm2",
        port=4711,
        context_tokens=2048,
        slots=4,
        secret_file="/state/secrets/engine",
        python=f"/engines/{kind}/bin/python",
        working_dir="/state",
        cache_dir=f"/engines/{kind}/cache",
        accelerated=False,
        kv_cache_bytes=kv_cache_bytes,
    )
