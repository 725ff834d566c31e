"""`potluck connect`: what a client that people already use has to be told, shown, written, or taken back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import StateDir, paths_of
from cli.output import data, talk

if TYPE_CHECKING:
    from cli.connect_setup import Places, Setup, Target
    from inventory.paths import StatePaths

Client = Literal["codex", "claude", "opencode", "openwebui", "vscode", "continue", "llm", "langchain"]


def connect(
    client: Annotated[Client, typer.Argument(help="Which client.")],
    show: Annotated[bool, typer.Option("--print", help="Print what it must be told. The default.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put it into its files, beside what they say.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Put its files back as they were before.")] = False,
    model: Annotated[str | None, typer.Option("--model", help="The first one served otherwise.")] = None,
    show_key: Annotated[bool, typer.Option("--show-key", help="Print the key as well.")] = False,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="Holds the key; the owner's otherwise.")] = None,
    url: Annotated[str, typer.Option("--url", help="Of the endpoint, as the client reaches it.")] = "",
    ca: Annotated[Path | None, typer.Option("--ca", help="Who vouches for an https:// endpoint.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Connect a client with this cluster: endpoint, key, model, and the CA where the endpoint is https."""
    if show + write + restore > 1:
        raise typer.BadParameter("only one of --print, --write and --restore", param_hint="--write")
    if restore:
        _restore(client)
        return
    target = _target(paths_of(state_dir), url, key_file, ca, model)
    if write:
        _write(client, target, owner=key_file is None)
    else:
        _print(client, target, key_file, show_key)


def _target(paths: "StatePaths", url: str, key_file: Path | None, ca: Path | None, model: str | None) -> "Target":
    from cli.connect_target import authority_for, endpoint_for, target_of

    endpoint = endpoint_for(paths, url, key_file)
    return target_of(endpoint, authority_for(paths, endpoint, ca), model)


def _print(client: Client, target: "Target", key_file: Path | None, show_key: bool) -> None:
    from cli.connect_setup import PLACEHOLDER
    from cli.connect_target import places
    from cli.render_connect import setup_text

    setup = maker_of(client)(target if show_key else replace(target, key=PLACEHOLDER), places())
    data(setup_text(setup))
    if not show_key:
        command = f"cat {key_file}" if key_file else "potluck keys show-owner"
        talk(f"{PLACEHOLDER} stands for the key: `{command}` prints it, --show-key puts it here")
    _tell(setup)


def _write(client: Client, target: "Target", owner: bool) -> None:
    from cli.connect_files import write
    from cli.connect_target import places
    from cli.render_connect import exports

    setup = maker_of(client)(target, places())
    if not setup.files:
        raise typer.BadParameter(
            f"{client} has no file to write; --print shows what a program says", param_hint="--write"
        )
    for path in write(setup.files):
        talk(f"wrote {path}")
    if setup.environment:
        data(exports(setup))
    if owner:
        talk(
            "it has the owner's key, which may do everything; `potluck keys create --name NAME` makes one that may "
            "only ask, and --key-file FILE uses it"
        )
    _tell(setup)
    talk(f"`potluck connect {client} --restore` takes it back")


def _restore(client: Client) -> None:
    """What is in the files does not matter here, only which they are."""
    from cli.connect_files import restore
    from cli.connect_setup import ServedModel, Target
    from cli.connect_target import places

    anything = ServedModel("", None)
    setup = maker_of(client)(Target("", "", anything, (anything,)), places())
    if not setup.files:
        raise typer.BadParameter(f"{client} has no file to restore", param_hint="--restore")
    for path in restore(client, setup.files):
        talk(f"as before: {path}")


def _tell(setup: "Setup") -> None:
    for note in setup.notes:
        talk(note)


def maker_of(client: Client) -> "Callable[[Target, Places], Setup]":
    """What sets this client up."""
    from cli import connect_agents, connect_programs

    makers: dict[Client, Callable[[Target, Places], Setup]] = {
        "codex": connect_agents.codex,
        "claude": connect_agents.claude,
        "opencode": connect_agents.opencode,
        "openwebui": connect_programs.openwebui,
        "vscode": connect_programs.vscode,
        "continue": connect_programs.continue_dev,
        "llm": connect_programs.llm,
        "langchain": connect_programs.langchain,
    }
    return makers[client]
