"""`potluck batches`: what clients have given this machine's gateway to be answered while machines are idle."""

from typing import Annotated

import typer

from cli.options import AsJson, Output, StateDir, Watch, paths_of


def batches(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    output: Output = "table",
    watch: Watch = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Batches on this gateway's machine, with how far each has come. Their own keys cancel them."""
    from cli.render_batches import batches_listing
    from cli.watched import present
    from router.batches.store import batches_at

    paths = paths_of(state_dir)
    present(lambda: batches_listing(batches_at(paths, open_only=not everything)), output, as_json, watch)
