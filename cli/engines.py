"""`potluck engines`: the engine environments of this machine."""

from typing import Annotated

import typer

from cli.options import AsJson, Output, StateDir, Watch, paths_of
from cli.output import talk, waiting

app = typer.Typer(no_args_is_help=True, help="Engines on this machine: each kind in an environment of its own.")

Kind = Annotated[str, typer.Argument(help="llamacpp, vllm, mlx or encoder")]


@app.command()
def install(kind: Kind, state_dir: StateDir = None) -> None:
    """Build an engine's environment from its locked requirements. This asks the package index.

    The build follows the machine: vLLM for NVIDIA GPUs or for the CPU, MLX for Apple GPUs or for the CPU.
    """
    from cli.sealing import refuse_if_sealed
    from cli.wire import engine_build
    from nodes.engine_envs import install

    paths = paths_of(state_dir).ensure()
    refuse_if_sealed(paths, f"installing {kind}", "first: potluck down")
    build = engine_build(paths, kind)
    with waiting(f"installing {kind} for {build.suits}"):
        done = install(build, paths.engines)
    talk(f"{done.kind} {done.version} for {done.suits} in {paths.engines}")


@app.command()
def ls(output: Output = "table", watch: Watch = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """List installed engines."""
    from cli.render import engines_listing
    from cli.watched import present
    from nodes.engine_envs import installed

    paths = paths_of(state_dir).ensure()
    present(lambda: engines_listing(installed(paths.engines)), output, as_json, watch)


@app.command()
def remove(
    kind: Kind,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Remove an engine's environment."""
    from nodes.engine_envs import engine_kind, remove

    chosen = engine_kind(kind)
    if not yes:
        typer.confirm(f"remove the environment of {chosen}?", abort=True)
    remove(chosen, paths_of(state_dir).ensure().engines)
    talk(f"{chosen} removed")
