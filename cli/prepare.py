"""What must lie on this machine before services start: a configuration, an engine, and the models it names."""

import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from cli.output import byte_progress, talk, waiting
from cli.wire import engine_build, hub_options, load_or_default, model_store
from cluster.config import ClusterConfig
from cluster.config_load import load_config
from cluster.desired import kinds_for
from inventory.catalog import ModelName
from inventory.paths import StatePaths
from nodes.snapshot import EngineKind

HERE: dict[EngineKind, str] = {
    "llamacpp": "llama.cpp is not installed (about 35 MB from the package index)",
    "encoder": "the encoder is not installed (about 145 MB from the package index)",
}


class NotPreparedError(Exception):
    """Something is missing that only the operator can allow or decide. The command prints this and exits 1."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A model that cluster.yaml wants here and that may not be in the store."""

    name: ModelName
    source: str
    kind: EngineKind


def prepare(paths: StatePaths, install: bool) -> None:
    """Raises ConfigError, NotPreparedError and whatever an import or an installation raises."""
    config = load_or_default(paths).config
    node_name = this_node(paths, config)
    wanted = models_for(config, node_name)
    for kind in dict.fromkeys(model.kind for model in wanted):
        _ensure_engine(paths, kind, install)
    store = model_store(paths)
    held = {model.ref.name for model in store.held()}
    for missing in (model for model in wanted if model.name not in held):
        _acquire(paths, missing, install)


def adopt_config(paths: StatePaths, file: Path) -> None:
    """Make `file` the configuration of this state directory. It is copied only if it is valid."""
    from inventory.secret_files import write_secret

    write_secret(paths.config_file, load_config(file).text)


def this_node(paths: StatePaths, config: ClusterConfig) -> str:
    """This machine's node name: as chosen before, the host's own name, or the only node of cluster.yaml."""
    chosen = paths.node_name.read_text().strip() if paths.node_name.exists() else None
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-")[:63] or "node"
    names = tuple(config.nodes)
    if not names:
        return chosen or host
    for name in (chosen, host, names[0] if len(names) == 1 else None):
        if name in names:
            return name
    raise NotPreparedError(
        f"cluster.yaml has the nodes {', '.join(names)}, and this machine is called {host}; "
        "say which one it is: potluck up --node NAME"
    )


def models_for(config: ClusterConfig, node_name: str) -> tuple[Missing, ...]:
    """The models that an engine kind of this machine could serve, by cluster.yaml alone."""
    found = []
    for name, section in config.models.items():
        allowed = (config.nodes[node_name].engines if node_name in config.nodes else ()) or tuple(HERE)
        kinds = [kind for kind in kinds_for(section) if kind in HERE and kind in allowed and section.source_for(kind)]
        here = not section.on or node_name in section.on
        if here and kinds and section.replicas.max:
            found.append(Missing(ModelName(name), str(section.source_for(kinds[0])), kinds[0]))
    return tuple(found)


def _ensure_engine(paths: StatePaths, kind: EngineKind, install: bool) -> None:
    from nodes.engine_envs import install as install_engine
    from nodes.engine_envs import installed

    if any(engine.kind == kind for engine in installed(paths.engines)):
        return
    told = HERE[kind]
    asked = install or (sys.stdin.isatty() and typer.confirm(f"{told}. Install it?"))
    if not asked:
        advice = f"run: potluck engines install {kind} (or: potluck up --install)"
        raise NotPreparedError(f"{told.partition(' (')[0]}; {advice}")
    with waiting(f"installing {kind}"):
        install_engine(engine_build(paths, kind), paths.engines)


def _acquire(paths: StatePaths, missing: Missing, install: bool) -> None:
    from inventory.acquire import acquire
    from inventory.sources import NetworkNotAllowedError, parse_source

    try:
        with byte_progress(f"importing {missing.name}") as progress:
            source = parse_source(missing.source)
            acquire(model_store(paths), source, missing.name, install, progress, hub_options(paths))
    except NetworkNotAllowedError as error:
        talk(f"! {missing.name} is not here yet: {error}")
