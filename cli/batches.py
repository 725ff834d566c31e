"""`potluck batches`: what clients have given this machine's gateway to be answered while machines are idle."""

from typing import Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json


def batches(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Batches on this gateway's machine, with how far each has come. Their own keys cancel them."""
    from cli.render_batches import batches_document, batches_table
    from router.batches.store import batches_at

    found = batches_at(paths_of(state_dir), open_only=not everything)
    if as_json:
        data_json("Batches", batches_document(found))
    else:
        data(batches_table(found))
