"""`potluck cache`: what this machine's gateway keeps of answers, and how to be rid of it."""

from typing import Annotated, Literal

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, talk

app = typer.Typer(no_args_is_help=True, help="What the gateway has kept of answers, on its own machine.")


@app.command()
def stats(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """How much is kept, by kind, tenant and model."""
    from cli.render_cache import cache_document, cache_table
    from router.cache_store import kept_in

    kept = kept_in(paths_of(state_dir).cache_db)
    if as_json:
        data_json("Cache", cache_document(kept))
    else:
        data(cache_table(kept))


@app.command()
def clear(
    kind: Annotated[Literal["answers", "vectors"] | None, typer.Option("--kind", help="Only of this kind.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only of this model.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Forget what is kept. The gateway may be running: engines then answer again."""
    from router.cache_store import clear as forget

    gone = forget(paths_of(state_dir).cache_db, kind, tenant, model)
    talk(f"{gone:,} {'entry is' if gone == 1 else 'entries are'} gone")
