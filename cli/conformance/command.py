"""The command: `potluck conformance URL`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson
from cli.output import data, data_json, talk

if TYPE_CHECKING:
    from cli.conformance.verdicts import Result

WIDTH = 120  # of a table that no terminal shows


def conformance(
    url: Annotated[str, typer.Argument(help="Of any OpenAI-compatible server: http://localhost:8400/v1.")],
    key_file: Annotated[Path | None, typer.Option("--key-file", help="Holds a key for it.")] = None,
    second_key_file: Annotated[
        Path | None, typer.Option("--second-key-file", help="Holds a key that may use fewer models.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The first that chats otherwise.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="A check or a subject; may be repeated.")] = None,
    kill: Annotated[
        str | None, typer.Option("--kill", help="A command that ends an engine, run in mid-stream.")
    ] = None,
    patience: Annotated[float, typer.Option("--patience", min=1, help="Seconds a bad client may be held.")] = 40.0,
    ca: Annotated[Path | None, typer.Option("--ca", help="Who vouches for an https:// server.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a server how it behaves as a gateway. It is asked some hundred short questions. Exit 3 if a check fails."""
    import asyncio
    import shutil

    from cli.conformance.registry import chosen
    from cli.conformance.rendering import report_document, report_text
    from cli.conformance.running import run
    from cli.conformance.server import Target
    from inventory.secret_files import read_secret

    key, second_key = (read_secret(file) if file else None for file in (key_file, second_key_file))
    target = Target(url, key, second_key, model=model, kill=kill, patience_s=patience, ca=str(ca) if ca else None)
    report = asyncio.run(run(target, chosen(tuple(only or ())), _tell))
    if as_json:
        data_json("ConformanceReport", report_document(report))
    else:
        data(report_text(report, shutil.get_terminal_size((WIDTH, 24)).columns))
    if report.count("fail"):
        raise typer.Exit(3)


def _tell(result: "Result") -> None:
    """As they come, where somebody looks on."""
    import sys

    if sys.stderr.isatty():
        talk(f"{result.check.name}: {result.seen.verdict}")
