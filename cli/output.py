"""What commands print: data on stdout, talk on stderr, JSON with a version."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import typer

from cli.options import OutputForm

API_VERSION = "potluck/v1"


class Advance(Protocol):
    """Called as work goes on. A total of None means that it is unknown."""

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None: ...


def data(text: str) -> None:
    typer.echo(text)


def talk(text: str) -> None:
    typer.echo(text, err=True)


class View(NamedTuple):
    """How a table is to be shown. `columns` are those of the terminal; None: there is none, or everything was asked
    for."""

    wide: bool = False
    columns: int | None = None


def terminal_columns() -> int | None:
    """Of stdout; None where it is no terminal, whose reader wants everything."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns


class Listing(NamedTuple):
    """A list to be printed. `document` makes what JSON and YAML hold, `table` the text."""

    kind: str
    document: Callable[[], Mapping[str, object]]
    names: Sequence[str]
    table: Callable[[View], str]


def document_of(name: str, values: object) -> Callable[[], Mapping[str, object]]:
    """Of plain dataclasses and structs, under this name."""

    def document() -> Mapping[str, object]:
        import msgspec

        return {name: msgspec.to_builtins(values)}

    return document


def show(listing: Listing, form: OutputForm, as_json: bool = False) -> None:
    """`as_json`: --json was given, which is short for `-o json`. Raises typer.BadParameter where both say something
    else."""
    text = text_of(listing, form, as_json, terminal_columns())
    if text:
        data(text)


def text_of(listing: Listing, form: OutputForm, as_json: bool, columns: int | None) -> str:
    """Raises typer.BadParameter."""
    if as_json and form not in ("table", "json"):
        raise typer.BadParameter(f"it is either JSON or {form}", param_hint="--output")
    if as_json or form == "json":
        return _json_text(listing.kind, listing.document())
    if form == "yaml":
        import yaml

        told = {"apiVersion": API_VERSION, "kind": listing.kind, **listing.document()}
        dumped: str = yaml.safe_dump(json.loads(json.dumps(told)), sort_keys=False, allow_unicode=True)
        return dumped.rstrip()
    if form == "name":
        return "\n".join(listing.names)
    return listing.table(View(wide=True) if form == "wide" else View(columns=columns))


def data_json(kind: str, fields: Mapping[str, object]) -> None:
    """One JSON document of this API version. The kind names its schema in docs/cli.md."""
    data(_json_text(kind, fields))


def _json_text(kind: str, fields: Mapping[str, object]) -> str:
    return json.dumps({"apiVersion": API_VERSION, "kind": kind, **fields}, ensure_ascii=False, indent=2)


@contextmanager
def byte_progress(label: str) -> Iterator[Advance]:
    """A progress bar on stderr for work counted in bytes; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)

        def advance(done_bytes: int, total_bytes: int | None) -> None:
            progress.update(task, completed=done_bytes, total=total_bytes)

        yield advance


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """A spinner with elapsed time on stderr, for work that has no count."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(label, total=None)
        yield
