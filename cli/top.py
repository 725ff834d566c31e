"""`potluck top`: what the cluster does at this moment, in place until somebody leaves."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, terminal_columns

if TYPE_CHECKING:
    from cli.gateway_state import Seen
    from inventory.paths import StatePaths


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print it as it is now, and end. In a pipe it always does.")
    ] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.2, max=60, help="Seconds between two looks.")] = 1.0,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Machines with their memory, models and engines, how busy they are and how fast. `q` leaves."""
    import asyncio

    paths = paths_of(state_dir)
    if as_json or once or not sys.stdout.isatty():
        _print(asyncio.run(_look(paths)), as_json)
        return
    from cli.live import stay

    asyncio.run(stay(lambda: _look(paths), _text, every_s))


async def _look(paths: "StatePaths") -> "Seen":
    import httpx2

    from cli.gateway_state import seen

    async with httpx2.AsyncClient(trust_env=False, timeout=5.0, verify=False) as client:  # loopback, without TLS
        return await seen(paths, client)


def _text(seen: "Seen") -> str:
    from cli.render_top import frame

    return frame(seen, terminal_columns())


def _print(seen: "Seen", as_json: bool) -> None:
    if as_json:
        from router.dashboard.state import document

        data_json("Top", {"figures": seen.figures, **document(seen.state)})
    else:
        data(_text(seen))
