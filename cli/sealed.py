"""`potluck sealed`: what a sealed machine's processes reached, and what they were refused."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, talk

app = typer.Typer(no_args_is_help=True, help="Sealed mode: no address outside the cluster, and proof of it.")


@app.callback()
def sealed() -> None:
    pass


@app.command()
def report(
    since: Annotated[str, typer.Option("--since", help="A duration (24h), a day, or a moment, UTC.")] = "24h",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it there, signed, into a file that does not exist yet.")
    ] = None,
    verify: Annotated[Path | None, typer.Option("--verify", help="Check a report instead. Exit 3 if it fails.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The public key that signed it, as 64 digits.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Who was contacted and what was refused on this machine, by peer and process, signed with the audit's key.

    Exit 3 when a connection passed the guard.
    """
    from cli.render_sealed import report_document, report_text
    from cli.sealed_reports import made, read, written

    paths = paths_of(state_dir)
    signed, told = (None, read(paths, verify, key)) if verify is not None else made(paths, since)
    if signed is not None and out is not None:
        talk(written(signed, out))
    elif as_json:
        data_json("SealedReport", report_document(told, signed))
    else:
        data(report_text(told, is_verified=verify is not None))
    if verify is None and told.of("passed"):
        raise typer.Exit(3)
