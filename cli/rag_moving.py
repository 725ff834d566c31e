"""Moves spaces between the two stores there are: the file of this state directory, and a Weaviate."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output import talk
from cli.wire import load_or_default
from cli.wire_rag import embedded_store, weaviate_store
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.role_lock import running

if TYPE_CHECKING:
    from cluster.config import ClusterConfig
    from cluster.config_rag import RagSection, WeaviateSection
    from rag.library.rows import StoreRow
    from rag.migrate import Moved
    from rag.stores.contract import VectorStore


class NoWeaviateNamedError(Exception):
    """No cluster.yaml says where Weaviate is. The command prints it and exits 2."""

    def __init__(self) -> None:
        super().__init__(
            "cluster.yaml names no Weaviate; write `rag: { store: { weaviate: { url: … } } }` into a copy of it, and "
            "say `--config COPY`. It is applied once everything has moved"
        )


class StillReadingError(Exception):
    """The gateway runs, and could write what is being moved. The command prints it and exits 1."""

    def __init__(self, paths: StatePaths) -> None:
        super().__init__(f"a gateway runs in {paths.root}, and may be reading documents; `potluck down` first")
        self.paths = paths


class OutsideZonesError(Exception):
    """A space's privacy class may not be where it would move. The command prints it and exits 1; nothing has moved."""

    def __init__(self, space: str, why: str) -> None:
        super().__init__(f"{space} stays where it is, and so do the others: {why}")
        self.space = space


def moved_spaces(
    paths: StatePaths, names: Sequence[str], to: str, config: Path | None, drop: bool
) -> "tuple[tuple[str, Moved], ...]":
    """By the names that people gave them. Raises StoreError, NoSuchSpaceError, NoWeaviateNamedError,
    StillReadingError, OutsideZonesError."""
    if running(paths.run, "gateway") is not None:
        raise StillReadingError(paths)
    loaded = _config(paths, config)
    section = _named(loaded.rag)
    stores = _catalogued(paths, names)
    _check_zones(paths, loaded, to, stores)

    async def move() -> "tuple[tuple[str, Moved], ...]":
        clock = SystemClock()
        embedded, weaviate = embedded_store(paths, clock), weaviate_store(section, clock)
        source, target = (embedded, weaviate) if to == "weaviate" else (weaviate, embedded)
        try:
            return await _move(source, target, stores, drop)
        finally:
            await weaviate.close()
            await embedded.close()

    return asyncio.run(move())


async def _move(
    source: "VectorStore", target: "VectorStore", stores: "Sequence[StoreRow]", drop: bool
) -> "tuple[tuple[str, Moved], ...]":
    from rag.migrate import move_space
    from rag.stores.contract import UnknownSpaceError
    from rag.values import SpaceId

    moved = []
    for store in stores:
        try:
            moved.append((store.name, await move_space(source, target, SpaceId(store.tenant, store.store_id), drop)))
        except UnknownSpaceError:
            talk(f"{store.name}: nothing of it is there; it is empty, or it was moved before")
    return tuple(moved)


def _config(paths: StatePaths, config: Path | None) -> "ClusterConfig":
    from cluster.config_load import load_config

    return (load_or_default(paths) if config is None else load_config(config)).config


def _check_zones(paths: StatePaths, config: "ClusterConfig", to: str, stores: "Sequence[StoreRow]") -> None:
    """Raises OutsideZonesError before anything moves."""
    from cli.prepare import this_node
    from cluster.knowledge import KnowledgeError
    from cluster.privacy import USUAL_ZONE, rules_of
    from cluster.whereabouts import Whereabouts
    from nodes.snapshot import NodeId
    from rag.library.places import Kept, Places

    here = NodeId(this_node(paths, config))
    named = config.nodes.get(here)
    where = Whereabouts(rules_of(config.privacy.rules()), {here: named.zone if named else USUAL_ZONE}, here)
    kept = Kept() if to == "embedded" else Kept(beside=False, zone=_named(config.rag).zone)
    places = Places(lambda: where, kept=kept)
    for store in stores:
        try:
            why = places.why_not_kept(frozenset({store.data_class}))
        except KnowledgeError as error:
            why = error.message
        if why is not None:
            raise OutsideZonesError(store.name, why)


def _named(section: "RagSection") -> "WeaviateSection":
    if section.store == "embedded":
        raise NoWeaviateNamedError
    return section.store.weaviate


def _catalogued(paths: StatePaths, names: Sequence[str]) -> "tuple[StoreRow, ...]":
    """Spaces of all tenants by their names or ids; without names, every one."""
    from cli.rag_client import NoSuchSpaceError
    from rag.library.catalogue import Catalogue

    if not paths.library_db.exists():
        raise NoSuchSpaceError(names[0] if names else "anything yet", ())
    catalogue = Catalogue(paths.library_db)
    try:
        every = catalogue.stores()
    finally:
        catalogue.close()
    for name in names:
        if not any(name in (row.store_id, row.name) for row in every):
            raise NoSuchSpaceError(name, [row.name for row in every])
    return tuple(row for row in every if not names or row.store_id in names or row.name in names)
