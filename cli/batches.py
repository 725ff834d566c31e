"""`potluck batches`: what clients have given this machine's gateway to be answered while machines are idle."""

from typing import Annotated

import typer

from cli.options import AsJson, Output, StateDir, paths_of
from cli.output import show


def batches(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    output: Output = "table",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Batches on this gateway's machine, with how far each has come. Their own keys cancel them."""
    from cli.render_batches import batches_listing
    from router.batches.store import batches_at

    show(batches_listing(batches_at(paths_of(state_dir), open_only=not everything)), output, as_json)
