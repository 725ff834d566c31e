"""`potluck config`: cluster.yaml, checked and explained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, terminal_columns

if TYPE_CHECKING:
    from cluster.plan_values import ConfigPlan
    from inventory.paths import StatePaths

app = typer.Typer(no_args_is_help=True, help="cluster.yaml: check it, see what it would change, apply it, show it.")


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
def plan(
    file: Annotated[Path, typer.Argument(help="A cluster.yaml.")],
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 3 if anything would change.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show what `config apply FILE` would change, and change nothing: memory before and after, engines, artifacts.
    Where no head runs, for the machines that FILE describes."""
    from cli.render_plan import plan_text

    found = _plan(paths_of(state_dir), file)
    if as_json:
        import msgspec

        data_json("ConfigPlan", msgspec.to_builtins(found))
    else:
        data(plan_text(found, terminal_columns()))
    if detailed and found.changes:
        raise typer.Exit(3)


def _plan(paths: "StatePaths", file: Path) -> "ConfigPlan":
    import asyncio

    from cli.wire import model_store
    from cluster.admin_client import AdminClient, HeadUnreachableError
    from cluster.config_load import load_config
    from cluster.plan import described_plan

    loaded = load_config(file)
    try:
        return asyncio.run(AdminClient(paths.head_socket).plan_config(loaded.text))
    except HeadUnreachableError:
        return described_plan(loaded.config, model_store(paths).held())


@app.command()
def apply(file: Annotated[Path, typer.Argument(help="A cluster.yaml.")], state_dir: StateDir = None) -> None:
    """Make FILE the configuration of the running cluster, at once, and show what that changes. It is kept in the state
    directory."""
    import asyncio

    from cli.render_plan import plan_text
    from cluster.admin_client import AdminClient
    from cluster.config_load import load_config

    head = AdminClient(paths_of(state_dir).head_socket)
    loaded = load_config(file)
    planned = asyncio.run(head.plan_config(loaded.text))
    applied = asyncio.run(head.apply_config(loaded.text))
    data(f"revision {applied.revision} {'is in use' if applied.changed else 'was in use already'}")
    data(plan_text(planned, terminal_columns()))


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
