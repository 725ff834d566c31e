"""`potluck privacy`: where what is of a privacy class has been, as the audit proves it. What is found in texts, handed
over and erased is in modules of its own."""

from typing import Annotated

import typer

from cli import pii
from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, terminal_columns

app = typer.Typer(no_args_is_help=True, help="Where private data has been, what is found of it, and how it leaves.")
app.command(name="scan")(pii.scan)
app.command(name="reveal")(pii.reveal)


@app.command()
def prove(
    data_class: Annotated[str, typer.Option("--class", help="The privacy class, as cluster.yaml names it.")],
    since: Annotated[str, typer.Option("--from", help="First day or moment, UTC: 2026-11-21 or 2026-11-21T09:30.")],
    until: Annotated[str, typer.Option("--to", help="The day or moment before which it ends.")],
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Say which machines had what is of a class, by the verified audit. Exit 3: one was outside its zones, or the audit
    proves nothing."""
    from cli.audit_checks import moment_ms
    from cli.privacy_checks import proved
    from cli.render_privacy import proof_document, proof_text
    from cluster.privacy_proof import ProofQuestion

    question = ProofQuestion(data_class, moment_ms(since, "--from"), moment_ms(until, "--to"))
    found = proved(paths_of(state_dir), question)
    if as_json:
        data_json("PrivacyProof", proof_document(found))
    else:
        data(proof_text(found, terminal_columns()))
    if not found.holds:
        raise typer.Exit(3)
