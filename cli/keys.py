"""`potluck keys`: the owner's key of this machine."""

from typing import Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import data, talk

app = typer.Typer(no_args_is_help=True, help="API keys. The owner's key may do everything.")


@app.command(name="show-owner")
def show_owner(state_dir: StateDir = None) -> None:
    """Print the owner's key."""
    from cli.endpoint import NotRunningError
    from inventory.secret_files import read_secret

    paths = paths_of(state_dir)
    if not paths.owner_key.exists():
        raise NotRunningError(paths)
    data(read_secret(paths.owner_key))


@app.command(name="rotate-owner")
def rotate_owner(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Make a new owner's key. The old one is refused from that moment."""
    import asyncio

    from cluster.admin_client import AdminClient

    paths = paths_of(state_dir)
    if not yes:
        typer.confirm("every client that uses the owner's key needs the new one; go on?", abort=True)
    asyncio.run(AdminClient(paths.head_socket).rotate_owner())
    talk("the owner's key was replaced; `potluck keys show-owner` prints it")
