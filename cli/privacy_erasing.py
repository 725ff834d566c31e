"""`potluck privacy preview|export|erase|erasures|list|replay`: what is kept of a person, handed over, and erased."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, Output, StateDir, paths_of
from cli.output import show, talk
from cli.privacy import app

if TYPE_CHECKING:
    from cluster.erasure import Person

Who = Annotated[
    str, typer.Option("--person", help="A user's name, as front ends or an issuer say; a key's name or id.")
]
Identifiers = Annotated[
    list[str] | None, typer.Option("--identifier", help="How texts speak of them: an address, a number. Repeatable.")
]
Documents = Annotated[list[str] | None, typer.Option("--document", help="A file's id. Repeatable.")]
Naming = Annotated[
    bool, typer.Option("--documents-that-name-them", help="Documents of others too, where an identifier is in them.")
]


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="A file that does not exist yet.")],
    person: Who = "",
    identifier: Identifiers = None,
    document: Documents = None,
    documents_that_name_them: Naming = False,
    state_dir: StateDir = None,
) -> None:
    """Write all that potluck keeps of a person or a document to a zip, with a manifest of what is in it."""
    from cli.privacy_client import privacy_client
    from inventory.secret_files import new_secret

    whom = _person(person, identifier, document, documents_that_name_them)
    with privacy_client(paths_of(state_dir)) as gateway:
        content = gateway.export(whom)
    new_secret(out, content)
    talk(f"{out}: {len(content):,} bytes; manifest.json says what is in it. It is in clear: keep it as you must")


@app.command()
def erase(
    person: Who = "",
    identifier: Identifiers = None,
    document: Documents = None,
    documents_that_name_them: Naming = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and let it be.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Erase a person or a document: every version, upload, answer, record and log line. It cannot be undone. Exit 3
    while something is in the way: it then goes on by itself."""
    from cli.privacy_client import privacy_client
    from cli.render_erasing import holdings_listing, print_erasure

    whom = _person(person, identifier, document, documents_that_name_them)
    with privacy_client(paths_of(state_dir)) as gateway:
        if dry_run or not yes:
            show(holdings_listing(gateway.preview(whom)), "table", as_json)
        if dry_run:
            return
        if not yes:
            typer.confirm("erase all of this, for good?", abort=True)
        print_erasure(gateway.erase(whom), as_json)


@app.command()
def erasures(output: Output = "table", as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """What was erased and when, without whom: nobody can tell that from here."""
    from cli.privacy_client import privacy_client
    from cli.render_erasing import erasures_listing

    with privacy_client(paths_of(state_dir)) as gateway:
        show(erasures_listing(gateway.erasures()), output, as_json)


@app.command(name="list")
def write_list(
    out: Annotated[Path, typer.Option("--out", help="A file that does not exist yet.")], state_dir: StateDir = None
) -> None:
    """Write the erasures with their keys to a file, to be kept apart from backups: `replay` erases again with it what a
    backup brought back."""
    from cluster.erasure_list import ErasureList
    from inventory.secret_files import new_secret

    kept = ErasureList(paths_of(state_dir))
    new_secret(out, kept.bundle())
    talk(f"{out}: {len(kept.entries()):,} erasures; whoever has it can test whether a name that he knows is among them")


@app.command()
def replay(
    file: Annotated[Path | None, typer.Option("--list", help="What `list` wrote. Absent: those known here.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Erase once more whatever was erased, after a state directory was brought back from a backup."""
    from cli.privacy_client import privacy_client

    content = "" if file is None else file.read_text()
    with privacy_client(paths_of(state_dir)) as gateway:
        talk(f"{gateway.replay(content):,} erasures are carried out again; `potluck privacy erasures` says how far")


def _person(who: str, identifiers: list[str] | None, documents: list[str] | None, naming: bool) -> "Person":
    from cluster.erasure import Person

    if not (who or identifiers or documents):
        raise typer.BadParameter("say whom or what: --person, --identifier or --document")
    return Person(who, tuple(identifiers or ()), tuple(documents or ()), naming)
