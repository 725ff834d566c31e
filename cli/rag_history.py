"""`potluck rag versions|diff` and `potluck rag spaces keep`: what files were before, and how long that is kept."""

from typing import Annotated

import typer

from cli.options import AsJson, Output, StateDir, paths_of
from cli.output import show, talk
from cli.rag import InSpace, SpaceName, app, spaces_app

FileName = Annotated[str, typer.Argument(help="A file's name or id; see `potluck rag ls`.")]


@app.command()
def versions(
    file: FileName, space: InSpace = None, output: Output = "table", as_json: AsJson = False, state_dir: StateDir = None
) -> None:
    """What a file was, and when: each version that is kept, the oldest first."""
    from cli.rag_client import rag_client
    from cli.render_history import versions_listing

    with rag_client(paths_of(state_dir)) as gateway:
        found = gateway.file(gateway.space(space), file)
        show(versions_listing(gateway.versions(found)), output, as_json)


@app.command()
def diff(
    space: SpaceName,
    file: FileName,
    old: Annotated[int | None, typer.Argument(min=1, help="A version. Absent: the one before the other.")] = None,
    new: Annotated[int | None, typer.Argument(min=1, help="A version. Absent: the newest.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What changed between two versions of a file, as a unified diff of its text; each part says where it stands."""
    from cli.rag_client import rag_client
    from cli.render_history import print_difference

    with rag_client(paths_of(state_dir)) as gateway:
        found = gateway.file(gateway.space(space), file)
        print_difference(gateway.difference(found, old, new), as_json)


@spaces_app.command()
def keep(
    space: SpaceName,
    most: Annotated[int | None, typer.Option("--versions", min=1, help="At most so many of each file.")] = None,
    period: Annotated[str | None, typer.Option("--for", help="None longer than this after it ended: 90d, 12h.")] = None,
    state_dir: StateDir = None,
) -> None:
    """How long earlier versions are kept. Without an option: every version, for good, which is the usual."""
    from cli.rag_client import rag_client
    from cli.render_history import kept_text, period_days

    days = None if period is None else period_days(period)
    with rag_client(paths_of(state_dir)) as gateway:
        talk(kept_text(gateway.keep_history(gateway.space(space), most, days)))
