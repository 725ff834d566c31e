"""`potluck token`: what lets one machine join."""

from typing import Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import data, talk

app = typer.Typer(no_args_is_help=True, help="Join tokens: each lets one machine in, once, under one name.")


@app.callback()
def tokens() -> None:
    """Keeps `create` a command of its own: Typer would make it the group otherwise."""


@app.command()
def create(
    node: Annotated[str, typer.Option("--node", help="The name that the machine will have.")],
    ttl: Annotated[str, typer.Option("--ttl", help="How long the token is good: 15m, 2h.")] = "15m",
    host: Annotated[str, typer.Option("--host", help="The head's address, where it listens on several.")] = "",
    state_dir: StateDir = None,
) -> None:
    """Print the line to paste on the machine that joins. It holds a secret: whoever has it can join once."""
    import asyncio

    from cluster.admin_client import AdminClient
    from cluster.units import parse_duration_s

    try:
        ttl_s = int(parse_duration_s(ttl))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from None
    made = asyncio.run(AdminClient(paths_of(state_dir).head_socket).create_token(node, ttl_s, host))
    data(made.command)
    talk(f"good once, for {node}, for {ttl}")
