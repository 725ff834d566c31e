"""`potluck config`: cluster.yaml, checked and explained."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import data

app = typer.Typer(no_args_is_help=True, help="cluster.yaml: check it, show it, print its schema.")


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="A cluster.yaml; the one in use otherwise.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Check a cluster.yaml. Every problem is printed with its path and line; exit 2 if there is one."""
    from cluster.config_load import load_config

    path = file or paths_of(state_dir).config_file
    loaded = load_config(path)
    models, nodes = len(loaded.config.models), len(loaded.config.nodes)
    data(f"{path}: valid; {models} models, {nodes} nodes")


@app.command()
def schema() -> None:
    """Print the JSON Schema of cluster.yaml."""
    from cluster.config_schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command()
def show(state_dir: StateDir = None) -> None:
    """Print the configuration in use: the file, or the embedded default."""
    from cli.wire import load_or_default

    typer.echo(load_or_default(paths_of(state_dir)).text, nl=False)
