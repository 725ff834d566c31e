"""`potluck logs`: what services and engines have written, merged by time."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import completing
from cli.options import AsJson, StateDir, moment_s, paths_of
from cli.output import data, data_json, talk

if TYPE_CHECKING:
    from cli.log_lines import Entry, Wanted
    from inventory.paths import StatePaths

LevelName = Literal["debug", "info", "warning", "error"]
REMOTE_LINES = 2000  # as many as a machine gives


class NotFollowedError(Exception):
    """Another machine's log cannot be followed from here. The command prints it and exits 1."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"only this machine's logs can be followed; without -f you get the last lines of {node}, and there "
            "`potluck logs -f` follows"
        )


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 200,
    node: Annotated[
        str | None,
        typer.Option("--node", help="Another machine's: its daemon's last lines.", autocompletion=completing.nodes),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Of this model, its engines' own lines too.", autocompletion=completing.stored_models
        ),
    ] = None,
    level: Annotated[LevelName, typer.Option("--level", help="As serious as this, and more.")] = "info",
    since: Annotated[str, typer.Option("--since", help="How far back, or a moment: 10m, 2026-11-01T09:30.")] = "",
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json.")] = "text",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """What the services of this machine have written, by time, and with --model its engines. Prompts and answers are
    in no log."""
    from cli.log_files import Logs
    from cli.log_lines import Wanted
    from inventory.clock import SystemClock

    paths = paths_of(state_dir)
    since_s = moment_s(since, SystemClock().wall_s(), "--since") if since else None
    wanted, in_json = Wanted(model, level, since_s), as_json or output == "json"
    elsewhere = node is not None and node != _own_name(paths)
    if elsewhere and follow:
        raise NotFollowedError(node or "")
    here = Logs(paths, wanted)
    found = _of_node(paths, node or "", wanted) if elsewhere else here.there()
    if not found and not follow:
        talk(f"nothing of the kind is in {f'the logs of {node}' if elsewhere else paths.logs}")
    _print(found[-lines:] if lines else [], in_json, lines_only=follow)
    if follow:
        for entry in here.coming():
            _print([entry], in_json, lines_only=True)


def _print(found: "Iterable[Entry]", in_json: bool, lines_only: bool) -> None:
    """JSON is one document, or while it is followed one a line."""
    import json

    from cli.log_lines import document_of, line_of

    if in_json and not lines_only:
        data_json("LogEntryList", {"entries": [document_of(entry) for entry in found]})
        return
    for entry in found:
        data(json.dumps(document_of(entry), ensure_ascii=False) if in_json else line_of(entry))


def _of_node(paths: "StatePaths", node: str, wanted: "Wanted") -> "list[Entry]":
    """By way of the head. Raises NodeNotFoundError, HeadUnreachableError, AdminRefusedError."""
    import asyncio

    from cli.log_files import read_lines
    from cli.log_lines import ENGINE, model_of
    from cli.render_nodes import find_node
    from cluster.admin_client import AdminClient

    async def read() -> "list[Entry]":
        admin = AdminClient(paths.head_socket)
        told = find_node(await admin.snapshot(), node).snapshot
        engines = [f"{ENGINE}{one.engine_id}" for one in told.engines] if told is not None else []
        found = read_lines((await admin.node_log(node, None, REMOTE_LINES)).splitlines(), "node", 0.0)
        for source in engines:
            if wanted.model is not None and model_of(source) == wanted.model:
                text = await admin.node_log(node, source.removeprefix(ENGINE), REMOTE_LINES)
                found += read_lines(text.splitlines(), source, found[-1].at_s if found else 0.0)
        return [entry for entry in sorted(found, key=lambda entry: entry.at_s) if wanted.has(entry)]

    return asyncio.run(read())


def _own_name(paths: "StatePaths") -> str:
    from cli.prepare import this_node
    from cli.wire import load_or_default

    return this_node(paths, load_or_default(paths).config)
