"""Snapshots and facts as text: values in, a string out."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from cli.output import Listing, View, document_of
from cli.table import duration, gib, instant, mib_or_gib, printable, table
from cluster.snapshot import ClusterSnapshot, NodeView
from inventory.catalog import HeldModel, StoredModel
from inventory.hardware import MemoryPool
from nodes.snapshot import EngineSnapshot

if TYPE_CHECKING:
    from nodes.engine_envs import EngineEnvironment  # brings uv and msgspec, which no other table needs

MEMORY = "MEMORY GiB (used by others / reserved / budget of total)"


def status_text(snapshot: ClusterSnapshot, endpoint: str | None, now_s: float, columns: int | None = None) -> str:
    """What `potluck status` prints: one line about the cluster, then nodes, models, engines and what is wrong."""
    age_s = max(0.0, now_s - snapshot.taken_at_s)
    head = (
        f"{snapshot.cluster}   {endpoint or 'no gateway'}   config rev {snapshot.config_revision}   {age_s:.0f} s old"
    )
    engines = [(node, engine) for node in snapshot.nodes for engine in _engines(node)]
    parts = [
        head,
        table(("NODE", "STATE", "LINK", MEMORY, "ENGINES"), [
            (node.node_id, _with_reason(node.state, node.reason), node.link, _pools(node), _installed(node))
            for node in snapshot.nodes
        ], columns, ("LINK", "ENGINES"), ("STATE", MEMORY, "ENGINES")),
        table(("MODEL", "STATE", "REVISION", "CONTEXT", "CAPABILITIES"), [
            (
                model.name,
                _with_reason(model.state, model.reason) + _eta(model.eta_s),
                model.ref.revision if model.ref else "-",
                str(model.context_tokens or "-"),
                ",".join(sorted(model.capabilities)) or "-",
            )
            for model in snapshot.models
        ], columns, ("CAPABILITIES", "REVISION"), ("STATE",)),
        table(("ENGINE", "NODE", "STATE", "PID", "FOR", "RUN", "WAIT", "SLOTS"), [
            _engine_row(node, engine, now_s) for node, engine in engines
        ], columns, ("PID", "SLOTS", "FOR"), ("STATE",)),
    ]  # fmt: skip
    notes = [f"- {model.name}: {printable(model.note)}" for model in snapshot.models if model.note]
    warnings = [f"! {node.node_id}: {printable(text)}" for node in snapshot.nodes for text in _warnings(node)]
    return "\n\n".join(part for part in [*parts, "\n".join([*notes, *warnings])] if part)


def models_listing(held: Sequence[HeldModel]) -> Listing:
    names = list(dict.fromkeys(model.ref.name for model in held))
    return Listing("ModelList", document_of("models", held), names, partial(_models_table, held))


def _models_table(held: Sequence[HeldModel], view: View) -> str:
    headers = ("NAME", "FORMAT", "SIZE", "CONTEXT", "REVISION", "CAPABILITIES")
    return table((*headers, *(("SOURCE", "STORED") if view.wide else ())), [
        (
            model.ref.name,
            model.format,
            mib_or_gib(model.size_bytes),
            str(model.context_length or "?"),
            model.ref.revision,
            ",".join(sorted(model.capabilities)),
            *((model.source or "?", instant(model.created_s)) if view.wide else ()),
        )
        for model in held
    ], view.columns, ("REVISION", "CAPABILITIES", "STORED", "CONTEXT"))  # fmt: skip


def model_sheet(stored: StoredModel) -> str:
    """Everything `models inspect` shows. The chat template is named by hash; --json has its text."""
    artifact, spec = stored.artifact, stored.artifact.spec
    attention = spec.attention
    rows = [
        ("name", stored.name),
        ("artifact", artifact.artifact_id),
        ("source", artifact.source),
        ("revision", artifact.revision),
        ("licence", spec.licence or "not stated in the file"),
        ("architecture", spec.architecture),
        ("parameters", f"{spec.parameters / 1e6:.1f} M"),
        ("quantisation", spec.quantisation),
        ("weights", mib_or_gib(spec.weight_bytes)),
        ("layers", str(spec.layers)),
        ("context", str(spec.context_length or "not stated")),
        ("embedding size", str(spec.embedding_size)),
    ]
    if attention is not None:
        kv_heads = sorted(set(attention.kv_heads))
        rows += [
            ("attention heads", f"{attention.heads}, KV {'/'.join(map(str, kv_heads))}"),
            ("head size", f"key {attention.key_head_size}, value {attention.value_head_size}"),
            ("sliding window", str(attention.sliding_window or "none")),
        ]
    if spec.experts is not None:
        rows.append(("experts", f"{spec.experts.experts}, {spec.experts.experts_used} used per token"))
    rows += [
        ("capabilities", ", ".join(sorted(spec.capabilities))),
        ("chat template", spec.template_hash or "none"),
        *((f"file {file.path}", f"{mib_or_gib(file.size_bytes)} sha256 {file.sha256}") for file in artifact.files),
    ]
    return table(("", ""), rows).lstrip("\n")


def engines_listing(found: "Sequence[EngineEnvironment]") -> Listing:
    rows = [
        (engine.kind, engine.version, mib_or_gib(engine.size_bytes) if engine.size_bytes else "?", engine.suits)
        for engine in found
    ]
    names, document = [engine.kind for engine in found], document_of("engines", found)
    return Listing("EngineEnvironmentList", document, names, partial(_engines_table, rows))


def _engines_table(rows: Sequence[Sequence[str]], view: View) -> str:
    return table(("KIND", "VERSION", "SIZE", "FOR"), rows, view.columns, wrap=("FOR",))


def _engines(node: NodeView) -> tuple[EngineSnapshot, ...]:
    return node.snapshot.engines if node.snapshot else ()


def _warnings(node: NodeView) -> tuple[str, ...]:
    if node.snapshot is None:
        return ()
    pressure = node.snapshot.pressure
    told = (f"memory is {pressure.level}: {pressure.reason}",) if pressure and pressure.level != "calm" else ()
    return (*told, *node.snapshot.hardware.warnings)


def _installed(node: NodeView) -> str:
    installed = node.snapshot.installed if node.snapshot else ()
    return ",".join(f"{engine.kind} {engine.version}" for engine in installed) or "none"


def _pools(node: NodeView) -> str:
    return "; ".join(_pool(pool) for pool in node.snapshot.hardware.pools) if node.snapshot else "?"


def _pool(pool: MemoryPool) -> str:
    figures = (pool.used_by_others_bytes, pool.reserved_bytes, pool.budget_bytes)
    return f"{pool.pool_id} {' / '.join(gib(figure) for figure in figures)} of {gib(pool.total_bytes)}"


def _eta(eta_s: float | None) -> str:
    return "" if eta_s is None else f", about {eta_s:.0f} s"


def _with_reason(state: str, reason: str) -> str:
    return f"{state}: {reason}" if reason and state != "ready" else state


def _engine_row(node: NodeView, engine: EngineSnapshot, now_s: float) -> tuple[str, ...]:
    load = engine.load
    return (
        engine.engine_id,
        node.node_id,
        _with_reason(engine.state, engine.reason) + (" (adopted)" if engine.adopted else ""),
        str(engine.pid or "-"),
        duration(max(0.0, now_s - engine.since_s)),
        *("?" if figure is None else str(figure) for figure in (load.running, load.waiting, load.slots)),
    )
