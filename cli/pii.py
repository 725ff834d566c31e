"""`potluck privacy scan` and `reveal`: what would be found in a text, and what a pseudonym stands for."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json
from cluster.pii.policy import Policy


def scan(
    file: Annotated[Path, typer.Argument(help="A text, or - for what comes in.", allow_dash=True, dir_okay=False)],
    policy: Annotated[
        Policy | None, typer.Option("--pii", help="As if a key or a space said this. Absent: cluster.yaml alone.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show what would be found in a text, why, and what would become of it. Values are masked. Exit 3 where something
    would be refused."""
    import sys

    from cli.render_pii import print_scan
    from cli.scanning import findings

    text = sys.stdin.read() if str(file) == "-" else file.read_text(errors="replace")
    found = findings(text, paths_of(state_dir), policy)
    print_scan(found, as_json)
    if any(one.policy == "refuse" for one in found):
        raise typer.Exit(3)


def reveal(
    token: Annotated[str, typer.Argument(help="A pseudonym in a document, as [IBAN_1f3a0c5be2d49a77].")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose documents it stands in.")] = "default",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Print what a pseudonym in documents stands for. It is put on record who asked. Exit 4 where nobody made it."""
    import asyncio

    from cluster.admin_client import AdminClient

    made = asyncio.run(AdminClient(paths_of(state_dir).head_socket).reveal(token, tenant))
    if as_json:
        data_json("PseudonymRevealed", {"token": token, "kind": made.kind, "value": made.value})
    else:
        data(made.value)
