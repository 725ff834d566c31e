"""`potluck nodes`: the machines of the cluster, and what the operator wants of each."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completing
from cli.options import AsJson, Output, StateDir, Watch, paths_of
from cli.output import data, data_json, talk, terminal_columns

if TYPE_CHECKING:
    from cluster.admin_client import AdminClient

app = typer.Typer(no_args_is_help=True, help="Machines of the cluster: look, cordon, drain, label, remove.")

Name = Annotated[str, typer.Argument(help="A machine's name; see `potluck nodes ls`.", autocompletion=completing.nodes)]


@app.command()
def ls(output: Output = "table", watch: Watch = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """List the machines with their state, its reason, and what each can run."""
    import asyncio

    from cli.render_nodes import nodes_listing
    from cli.watched import present
    from inventory.clock import SystemClock

    admin, clock = _admin(state_dir), SystemClock()
    present(lambda: nodes_listing(asyncio.run(admin.snapshot()).nodes, clock.wall_s()), output, as_json, watch)


@app.command()
def inspect(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show everything known of one machine: hardware, engines, models, warnings."""
    import asyncio

    from cli.render_nodes import find_node, node_sheet
    from inventory.clock import SystemClock

    node = find_node(asyncio.run(_admin(state_dir).snapshot()), name)
    if as_json:
        import msgspec

        data_json("Node", msgspec.to_builtins(node))
    else:
        data(node_sheet(node, SystemClock().wall_s(), terminal_columns()))


@app.command()
def cordon(name: Name, state_dir: StateDir = None) -> None:
    """Start nothing more on a machine. What runs there goes on."""
    import asyncio

    asyncio.run(_admin(state_dir).set_duty(name, "cordon"))
    talk(f"{name}: cordoned; potluck nodes uncordon {name} ends that")


@app.command()
def uncordon(name: Name, state_dir: StateDir = None) -> None:
    """Let a machine take work again, after cordon or drain."""
    import asyncio

    asyncio.run(_admin(state_dir).set_duty(name, "uncordon"))
    talk(f"{name}: takes work again")


@app.command()
def drain(
    name: Name,
    wait: Annotated[bool, typer.Option(help="Return when it is empty.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait; it goes on draining.")] = 600.0,
    state_dir: StateDir = None,
) -> None:
    """Empty a machine: its models start elsewhere first where they can, then its engines finish and stop."""
    import asyncio

    from cli.watching import wait_until_empty

    async def empty() -> None:
        admin = _admin(state_dir)
        await admin.set_duty(name, "drain")
        if wait:
            await wait_until_empty(admin, name, timeout_s, talk)

    asyncio.run(empty())
    talk(f"{name}: {'empty' if wait else 'draining'}; potluck nodes uncordon {name} lets it take work again")


@app.command()
def label(
    name: Name,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE|KEY-...", help="KEY- takes a label away.")],
    state_dir: StateDir = None,
) -> None:
    """Set or take away labels: free words, which `models.NAME.where` can ask for."""
    import asyncio

    from cli.render_nodes import parse_labels

    wish = asyncio.run(_admin(state_dir).set_labels(name, parse_labels(changes)))
    data(" ".join(f"{key}={value}" for key, value in wish.labels) or "no labels")


@app.command()
def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Remove a machine from the cluster and revoke its certificate: it is cut off within seconds."""
    import asyncio

    if not yes:
        typer.confirm(f"remove {name}? To come back it needs another token", abort=True)
    asyncio.run(_admin(state_dir).remove_node(name))
    talk(f"{name}: removed, its certificate is revoked")


@app.command()
def logs(
    name: Name,
    engine: Annotated[str | None, typer.Argument(help="An engine's id; without it, the daemon's own log.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000)] = 100,
    state_dir: StateDir = None,
) -> None:
    """Print the end of a log that lies on a machine."""
    import asyncio

    from cli.table import printable

    text = asyncio.run(_admin(state_dir).node_log(name, engine, lines))
    data("\n".join(printable(line) for line in text.splitlines()))


def _admin(state_dir: StateDir) -> "AdminClient":
    from cluster.admin_client import AdminClient

    return AdminClient(paths_of(state_dir).head_socket)
