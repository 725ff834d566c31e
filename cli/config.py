"""`potluck config`: cluster.yaml, checked and explained."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import data

app = typer.Typer(no_args_is_help=True, help="cluster.yaml: check it, apply it, show it, print its schema.")


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
def apply(file: Annotated[Path, typer.Argument(help="A cluster.yaml.")], state_dir: StateDir = None) -> None:
    """Make FILE the configuration of the running cluster, at once. It is kept in the state directory."""
    import asyncio

    from cluster.admin_client import AdminClient
    from cluster.config_load import load_config

    loaded = load_config(file)
    applied = asyncio.run(AdminClient(paths_of(state_dir).head_socket).apply_config(loaded.text))
    data(f"revision {applied.revision} {'is in use' if applied.changed else 'was in use already'}")


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
