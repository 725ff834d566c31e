"""Machines are upgraded one after the other: what a node of the version before says is understood, and the reverse."""

from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

import msgspec

from nodes.snapshot import EngineLoad, NodeSnapshot
from support.cluster_facts import engine, held, node
from support.shapes import DENSE

# Added since the first version that spoke /node/v1, each with a default for nodes that do not know it.
SINCE = {
    "arrays_peak_bytes",
    "cache_bytes",
    "cache_tokens",
    "memory_bytes",
    "memory_items",
    "memory_peak_bytes",
    "pressure",
    "pulls",
    "shape",
    "source",
    "unpacked_key_head_size",
    "vram_bytes",
    "vram_peak_bytes",
}


def without(document: Any, names: set[str]) -> Any:
    if isinstance(document, dict):
        return {name: without(value, names) for name, value in document.items() if name not in names}
    return [without(value, names) for value in document] if isinstance(document, list | tuple) else document


def snapshot() -> NodeSnapshot:
    model = replace(held("smol"), shape=DENSE, source="packaged:smollm2")
    running = replace(engine("smol.box.1"), memory_bytes=1, memory_peak_bytes=2)
    return node("box", [model], engines=[running])


def test_what_a_node_of_the_version_before_reports_is_understood() -> None:
    old = without(msgspec.to_builtins(snapshot()), SINCE)

    read = msgspec.convert(old, NodeSnapshot)

    assert read.models[0].shape is None
    assert read.engines[0].memory_bytes is None
    assert (read.node_id, read.engines[0].state) == ("box", "ready")


def test_what_a_newer_node_adds_is_passed_over() -> None:
    new = msgspec.to_builtins(snapshot()) | {"temperature": 41.5}

    assert msgspec.json.decode(msgspec.json.encode(new), type=NodeSnapshot) == snapshot()


def test_every_field_that_was_added_has_a_default() -> None:
    found: dict[str, object] = {}

    def visit(kind: Any) -> None:
        for field in fields(kind):
            if field.name in SINCE:
                found[field.name] = field.default

    for value in (snapshot(), snapshot().models[0], snapshot().engines[0], EngineLoad(), DENSE.attention):
        assert is_dataclass(value)
        visit(type(value))

    assert set(found) == SINCE
    assert MISSING not in found.values()
