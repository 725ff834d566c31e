"""`potluck rag`: documents that this machine's gateway has read, and questions to them."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completing
from cli.help import Commands
from cli.options import AsJson, Output, StateDir, paths_of
from cli.output import data, show, talk
from cluster.pii.policy import Policy

if TYPE_CHECKING:
    from cli.rag_client import RagClient

app = typer.Typer(no_args_is_help=True, help="Your documents: read them into a space, and ask.")
spaces_app = typer.Typer(
    invoke_without_command=True,
    help="The spaces there are, where no command follows. OpenAI's clients know them as vector stores.",
)
app.add_typer(spaces_app, name="spaces", cls=Commands)

ARGUMENT_HELP = "A space's name or id; see `potluck rag spaces`."
SpaceName = Annotated[str, typer.Argument(help=ARGUMENT_HELP, autocompletion=completing.spaces)]
InSpace = Annotated[
    str | None,
    typer.Option("--space", help="By name or id. Not needed where there is one.", autocompletion=completing.spaces),
]  # fmt: skip
GRANTS = "key:NAME, group:NAME, user:NAME, role:NAME or everyone, of any tenant"  # the owner's key asks
DataClass = Annotated[
    str | None, typer.Option("--class", help="The privacy class of what is in it. Absent: as it is, or the key's own.")
]  # fmt: skip
Pii = Annotated[
    Policy | None, typer.Option("--pii", help="What becomes of personal data in what is read into it, or stricter.")
]
Licence = Annotated[
    str | None,
    typer.Option("--licensed", help='Whose material it is: readers find it, and get no whole text. "": nobody\'s.'),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@spaces_app.callback()
def spaces(
    context: typer.Context, output: Output = "table", as_json: AsJson = False, state_dir: StateDir = None
) -> None:
    """The spaces there are, where no command follows. OpenAI's clients know them as vector stores."""
    if context.invoked_subcommand is None:
        from cli.render_rag import spaces_listing

        with _gateway(state_dir) as gateway:
            show(spaces_listing(gateway.spaces()), output, as_json)


@spaces_app.command()
def make(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="The model that makes its vectors, for good. Absent: the usual one.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What is in it.")] = "",
    state_dir: StateDir = None,
) -> None:
    """Make a space, and print its id."""
    with _gateway(state_dir) as gateway:
        made = gateway.make_space(name, encoder, description)
    data(made.id)
    talk(f"{name}: its vectors come from {made.potluck.embedding_model}")


@spaces_app.command()
def drop(space: SpaceName, yes: Yes = False, state_dir: StateDir = None) -> None:
    """Drop a space with everything that was read into it. The files themselves stay where they are."""
    with _gateway(state_dir) as gateway:
        found = gateway.space(space)
        if not yes:
            typer.confirm(f"{found.name} has {found.file_counts.total} files; drop all that was read?", abort=True)
        gateway.drop_space(found.id)
    talk(f"{found.name}: dropped")


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="A file or a folder of this machine.", exists=True)],
    space: Annotated[
        str, typer.Option("--space", help="Made where there is none.", autocompletion=completing.spaces)
    ] = "documents",
    watch: Annotated[bool, typer.Option("--watch", help="Of a folder: read it again whenever it changes.")] = False,
    share: Annotated[list[str] | None, typer.Option("--share", help=f"Who may read it: {GRANTS}. Repeatable.")] = None,
    data_class: DataClass = None,
    licence: Licence = None,
    pii: Pii = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Read a file, or a folder with everything in it, and wait until that is done. Exit 1 where a file could not be
    read: the others are."""
    from cli.rag_ingest import read_into
    from cli.rag_sharing import Terms
    from cli.render_rag import print_ingested

    if watch and not path.is_dir():
        raise typer.BadParameter("a single file is uploaded; a folder can be watched", param_hint="--watch")
    terms = Terms(given=tuple(share or ()), data_class=data_class, licence=licence, pii=pii)
    with _gateway(state_dir) as gateway:
        print_ingested(read_into(gateway, space, path.resolve(), watch, terms), as_json)


@app.command()
def retry(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Names or ids. None: all that could not be read.")
    ] = None,
    space: InSpace = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Read files again as they lie, without waiting for their next turn, and wait until that is done. Exit 1 where one
    could not be read this time either."""
    from cli.rag_ingest import read_again
    from cli.render_rag import print_ingested

    with _gateway(state_dir) as gateway:
        again = read_again(gateway, gateway.space(space), files or ())
        if again.files or as_json:
            print_ingested(again, as_json)
        else:
            talk(f"{again.space.name}: every file could be read")


@app.command()
def query(
    text: Annotated[str, typer.Argument(help="The question, in any language.")],
    space: InSpace = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, max=50, help="Hits at the most.")] = 5,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help='What held then: 2026-11-12, 2026-11-12T10:00 (UTC), "last week".')
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What is found for a question: where it stands, how well it fits, and why. Exit 3 where nothing is relevant."""
    from cli.render_rag import print_hits

    with _gateway(state_dir) as gateway:
        print_hits(gateway.search(gateway.space(space).id, text, most, as_of), as_json)


@app.command()
def ls(space: InSpace = None, output: Output = "table", as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """The files of a space, how each stands, and why one could not be read."""
    from cli.render_rag import files_listing

    with _gateway(state_dir) as gateway:
        show(files_listing(gateway.files(gateway.space(space).id)), output, as_json)


@app.command(name="show")
def show_file(
    file: Annotated[str, typer.Argument(help="A file's name or id; see `potluck rag ls`.")],
    space: InSpace = None,
    version: Annotated[int | None, typer.Option("--version", min=1, help="An older one. Absent: the newest.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What was read of a file, part by part."""
    from cli.render_rag import print_texts

    with _gateway(state_dir) as gateway:
        found = gateway.file(gateway.space(space), file)
        print_texts(found, version, gateway.texts(found, version), as_json)


@app.command()
def use(
    space: SpaceName,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Whoever of the cluster asks it. Repeatable.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option("--key", help="Whatever it asks. Repeatable.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Look into a space for every question to these models, and of these keys, without being told. What was said before
    is forgotten; without models and keys, nobody's questions do."""
    from cli.render_rag import usual_text

    with _gateway(state_dir) as gateway:
        found = gateway.space(space)
        talk(usual_text(found, gateway.set_usual(found.id, model or [], key or [])))


@app.command()
def share(
    space: SpaceName,
    given: Annotated[list[str] | None, typer.Option("--with", help=f"Who may read it: {GRANTS}. Repeatable.")] = None,
    owner: Annotated[bool, typer.Option("--owner", help="They own it: change it, and say who may.")] = False,
    taken: Annotated[list[str] | None, typer.Option("--unshare", help="Who may no more. Repeatable.")] = None,
    data_class: DataClass = None,
    licence: Licence = None,
    pii: Pii = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Say who may read a space and who owns it, of which privacy class it is, and whether its material is licensed; or
    see it, where nothing is said."""
    from cli.rag_sharing import Terms
    from cli.render_rag import print_shared

    terms = Terms(tuple(given or ()), tuple(taken or ()), owner, data_class, licence, pii)
    with _gateway(state_dir) as gateway:
        print_shared(gateway.share(gateway.space(space), terms), as_json)


@app.command(name="eval")
def evaluate(
    questions: Annotated[Path, typer.Argument(help="JSON or CSV: question, file; locator, language.", exists=True)],
    space: InSpace = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """How well questions find the files that answer them: right at once, among the first ten, nDCG@10, by language."""
    from cli.rag_questions import ask_all, read_questions
    from cli.render_rag import quality_listing

    expected = read_questions(questions)
    with _gateway(state_dir) as gateway:
        show(quality_listing(ask_all(gateway, gateway.space(space).id, expected)), "table", as_json)


@app.command()
def migrate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPACE]...", help="Names or ids. None: all there are.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="weaviate: the one that `rag.store` names; or embedded.")] = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="A cluster.yaml that names the Weaviate. Absent: the one in force.")
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Take each away at its old place once both were compared.")
    ] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Move spaces between the file beside the gateway and a Weaviate, with all versions. `potluck down` first: what is
    read meanwhile would be missing. One that broke off goes on where it stopped."""
    from cli.rag_moving import moved_spaces
    from cli.render_rag import moved_listing

    if to not in ("weaviate", "embedded"):
        raise typer.BadParameter("weaviate or embedded", param_hint="--to")
    show(moved_listing(moved_spaces(paths_of(state_dir), names or [], to, config, drop)), "table", as_json)


def _gateway(state_dir: StateDir) -> "AbstractContextManager[RagClient]":
    from cli.rag_client import rag_client

    return rag_client(paths_of(state_dir))
