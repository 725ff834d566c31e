"""`potluck status`: what the cluster is doing, from the same snapshot that the router decides on."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, terminal_columns

if TYPE_CHECKING:
    from inventory.paths import StatePaths


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show each change.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show nodes, memory, models and engines. Exit 6 when nothing runs."""
    import asyncio

    from cli.endpoint import away
    from cli.render import status_text
    from cluster.admin_client import AdminClient, HeadUnreachableError
    from inventory.clock import SystemClock

    paths = paths_of(state_dir)
    try:
        if watch:
            asyncio.run(_watch(paths, as_json))
            return
        snapshot = asyncio.run(AdminClient(paths.head_socket).snapshot())
    except HeadUnreachableError as error:
        raise away(paths, error.reason) from None
    endpoint = _endpoint(paths)
    if as_json:
        import msgspec

        data_json("Status", {"endpoint": endpoint, "cluster": msgspec.to_builtins(snapshot)})
    else:
        data(status_text(snapshot, endpoint, SystemClock().wall_s(), terminal_columns()))


async def _watch(paths: "StatePaths", as_json: bool) -> None:
    from cli.live import stay
    from cli.render import status_text
    from cli.watching import watch_json, watch_lines
    from cluster.admin_client import AdminClient
    from inventory.clock import SystemClock

    admin, clock = AdminClient(paths.head_socket), SystemClock()
    if as_json:
        await watch_json(admin)
    elif sys.stdout.isatty():
        await stay(
            admin.snapshot, lambda one: status_text(one, _endpoint(paths), clock.wall_s(), terminal_columns()), 1.0
        )
    else:
        await watch_lines(admin)


def _endpoint(paths: "StatePaths") -> str | None:
    from cli.endpoint import NotRunningError, local_endpoint

    try:
        return local_endpoint(paths).base_url
    except NotRunningError:
        return None
