"""Which models lie on which disk, and where they are loaded: the cluster's last snapshot, by model. Pure."""

from collections.abc import Iterator

import msgspec

from cluster.snapshot import ClusterSnapshot, ModelView
from inventory.catalog import HeldModel
from nodes.snapshot import NodeSnapshot


class Disk(msgspec.Struct, frozen=True):
    """The file system that holds the model store."""

    path: str
    total_bytes: int
    free_bytes: int
    models_bytes: int  # of what the store holds


class Copy(msgspec.Struct, frozen=True):
    """An artifact on one machine. `engines` have it loaded."""

    node: str
    since: int  # wall time it entered the store; its bytes were hashed then
    engines: tuple[str, ...] = ()


class ShelfArtifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`artifact_id` is the sha256 of its manifest, which has the sha256 of each file."""

    artifact_id: str
    format: str
    revision: str
    source: str
    size_bytes: int
    quantisation: str | None = None
    licence: str | None = None
    context_length: int | None = None
    copies: tuple[Copy, ...]


class Pull(msgspec.Struct, frozen=True, omit_defaults=True):
    """One that is on its way to a machine."""

    node: str
    state: str
    done_bytes: int
    holder: str | None = None
    total_bytes: int | None = None
    reason: str = ""


class ShelfModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` and what follows are of a model that cluster.yaml names; the others only lie there."""

    artifacts: tuple[ShelfArtifact, ...]
    pulls: tuple[Pull, ...] = ()
    configured: bool = False
    state: str | None = None
    reason: str = ""
    away: bool = False
    sleeps: bool = False


class Shelf(msgspec.Struct, frozen=True):
    models: dict[str, ShelfModel]
    disks: dict[str, Disk]  # by machine


def shelf_of(snapshot: ClusterSnapshot) -> Shelf:
    nodes = [node.snapshot for node in snapshot.nodes if node.snapshot is not None]
    views = {str(view.name): view for view in snapshot.models}
    names = {str(held.ref.name) for node in nodes for held in node.models} | views.keys()
    names |= {str(pull.name) for node in nodes for pull in node.pulls}
    models = {name: _model(name, views.get(name), nodes) for name in sorted(names)}
    return Shelf(models, {str(node.node_id): disk for node in nodes if (disk := _disk(node)) is not None})


def _disk(node: NodeSnapshot) -> Disk | None:
    disk = node.hardware.disk
    if disk is None:
        return None
    held = sum({model.ref.artifact_id: model.size_bytes for model in node.models}.values())
    return Disk(disk.path, disk.total_bytes, disk.free_bytes, held)


def _model(name: str, view: ModelView | None, nodes: list[NodeSnapshot]) -> ShelfModel:
    pulls = tuple(
        Pull(node.node_id, pull.state, pull.done_bytes, pull.holder, pull.total_bytes, pull.reason)
        for node in nodes
        for pull in node.pulls
        if pull.name == name
    )
    artifacts = tuple(_artifacts(name, nodes))
    if view is None:
        return ShelfModel(artifacts=artifacts, pulls=pulls)
    return ShelfModel(
        artifacts=artifacts,
        pulls=pulls,
        configured=True,
        state=view.state,
        reason=view.reason,
        away=view.away,
        sleeps=view.keep_alive_s is not None,
    )


def _artifacts(name: str, nodes: list[NodeSnapshot]) -> Iterator[ShelfArtifact]:
    """The same bytes on several machines are one artifact with as many copies."""
    found: dict[str, tuple[HeldModel, list[Copy]]] = {}
    for node in nodes:
        for held in node.models:
            if held.ref.name == name:
                _, copies = found.setdefault(held.ref.artifact_id, (held, []))
                copies.append(Copy(node.node_id, held.created_s, _loaded(held, node)))
    for artifact_id, (held, copies) in sorted(found.items()):
        yield ShelfArtifact(
            artifact_id=artifact_id,
            format=held.format,
            revision=held.ref.revision,
            source=held.source,
            size_bytes=held.size_bytes,
            quantisation=held.shape.quantisation if held.shape is not None else None,
            licence=held.licence,
            context_length=held.context_length,
            copies=tuple(copies),
        )


def _loaded(held: HeldModel, node: NodeSnapshot) -> tuple[str, ...]:
    """By this name: the same bytes may serve under another."""
    running = [engine for engine in node.engines if engine.pid is not None]
    return tuple(engine.engine_id for engine in running if engine.model == held.ref)
