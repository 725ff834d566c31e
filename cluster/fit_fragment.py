"""Models that were chosen, as a cluster.yaml that asks for them. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.config import ClusterConfig
from cluster.fit_fleet import USUAL
from nodes.snapshot import EngineKind, NodeId

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("B", 1))


@dataclass(frozen=True, slots=True)
class Served:
    """A model that was chosen for one machine, and what it needs there for all users."""

    model: str
    node: NodeId
    engine: EngineKind
    need_bytes: int


def fragment_of(chosen: Sequence[Served], context_tokens: int, users: int, config: ClusterConfig) -> str:
    """With the machines as `config` describes them, so that `config plan` can look at it by itself; "" for none."""
    if not chosen:
        return ""
    lines = ["version: 1"]
    if config.nodes:
        lines += ["nodes:", *(f"  {name}: {_node(config, name)}" for name in sorted(config.nodes))]
    lines.append("models:")
    for one in chosen:
        source, comment = _source(one, config)
        lines += [
            f"  {one.model}:",
            f"    source: {json.dumps(source)}{comment}",
            f"    engine: {one.engine}",
            f"    on: [{one.node}]",
            f"    context: {context_tokens}",
            f"    slots: {users}",
        ]
    return "\n".join(lines) + "\n"


def _source(one: Served, config: ClusterConfig) -> tuple[str, str]:
    section = config.models.get(one.model)
    source = section.source_for(one.engine) if section is not None else None
    if source is not None:
        return source, ""
    return f"file:/models/{one.model}-{USUAL[one.engine]}", " # where its weights are: hf:ORG/REPO, or file:/PATH"


def _node(config: ClusterConfig, name: str) -> str:
    """In one line; JSON is YAML."""
    section = config.nodes[name].model_dump(mode="json", exclude_defaults=True)
    return json.dumps(_with_units(section), ensure_ascii=False)


def _with_units(value: object) -> object:
    """Sizes as people write them: all numbers that describe a machine are bytes."""
    if isinstance(value, Mapping):
        return {key: _with_units(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_units(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return next(f"{value // size}{unit}" for unit, size in _UNITS if value % size == 0)
    return value
