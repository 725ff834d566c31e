"""Rules and dashboards that are shipped ask for metrics that there are, with labels and values that these have."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inventory.clock import SystemClock
from inventory.hardware import AcceleratorActivity, Disk, MemoryPool, PoolId
from nodes.snapshot import PressureSnapshot
from router.telemetry import TelemetryWriter
from support.deployed import alerts, metrics_in, panels, selected
from support.engines import running_fault_engine
from support.gateway import MODEL, cluster_of, running_gateway, served_by

Series = Mapping[str, Mapping[str, set[str]]]
"""By the name of a sample: its labels with the values that were seen."""
ENDINGS = {"counter": "_total", "histogram": "_bucket"}
EXPRESSIONS = alerts() | panels()


@pytest.fixture
async def exported(tmp_path: Path) -> Series:
    """All that a gateway exports that has answered one request."""
    found: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    with running_fault_engine(tmp_path / "engine", "llamacpp") as engine:
        telemetry = TelemetryWriter(tmp_path / "telemetry.db", SystemClock())
        async with (
            running_gateway(tmp_path, [served_by(engine)], sinks=(telemetry,)) as running,
            running.http() as client,
        ):
            running.view.heard()
            snapshot = cluster_of([served_by(engine)], sequence=2)
            (node,) = snapshot.nodes
            assert node.snapshot is not None
            pool = MemoryPool(PoolId("ram"), "ram", 1000, 100, 50)
            hardware = replace(node.snapshot.hardware, pools=(pool,), disk=Disk("/", 1000, 10), cpu_load=0.5)
            does = AcceleratorActivity(PoolId("vram:0"), 0.5, 60.0, 200.0, 1000.0, throttled=False)
            hardware = replace(hardware, activity=(does,))
            engines = tuple(
                replace(one, memory_bytes=200, load=replace(one.load, running=1, waiting=0, kv_used=0.5))
                for one in node.snapshot.engines
            )
            told = replace(
                node.snapshot, hardware=hardware, engines=engines, pressure=PressureSnapshot("calm", "", 0.0)
            )
            running.view.install_cluster(replace(snapshot, nodes=(replace(node, snapshot=told),)))
            for streamed in (True, False):
                body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": streamed}
                assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            await running.until_idle()
            text = (await client.get("/metrics")).text
            discovered = (await client.get("/api/v1/prometheus-sd")).json()
        telemetry.close()
    assert discovered == [{"targets": [f"127.0.0.1:{running.address.port}"], "labels": discovered[0]["labels"]}]
    assert discovered[0]["labels"] == {"__scheme__": "http", "cluster": "test"}
    for family in text_string_to_metric_families(text):
        found[f"{family.name}{ENDINGS.get(family.type, '')}"]  # it is there, maybe with nothing counted yet
        for sample in family.samples:
            for label, value in sample.labels.items():
                found[sample.name][label].add(value)
    return found


async def test_every_metric_that_is_asked_for_is_there(exported: Series) -> None:
    missing = {name: metrics_in(text) - exported.keys() for name, text in EXPRESSIONS.items()}

    assert {name: metrics for name, metrics in missing.items() if metrics} == {}
    assert len(EXPRESSIONS) > 30


async def test_every_label_that_is_asked_for_is_there_and_can_have_that_value(exported: Series) -> None:
    for name, text in EXPRESSIONS.items():
        for metric, label, values in selected(text):
            known = exported[metric].get(label, set())
            assert known, (name, metric, label)
            assert metric == "potluck_requests_total" or set(values) <= known, (name, metric, label, values, known)


async def test_memory_is_told_by_what_holds_it(exported: Series) -> None:
    assert exported["potluck_node_memory_bytes"]["kind"] == {"total", "other", "reserved", "engines"}
    assert exported["potluck_node_memory_pressure"]["level"] == {"calm", "tight", "short", "critical"}
    assert exported["potluck_engine_kv_capacity_tokens"]["model"] == {MODEL}
    assert exported["potluck_engine_kv_headroom_tokens"]["model"] == {MODEL}
