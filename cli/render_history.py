"""Versions of files as text and as JSON: which there are, what changed, and how long they are kept."""

from collections.abc import Sequence
from functools import partial

import msgspec
import typer

from cli.output import Listing, View, data, data_json, document_of, talk
from cli.table import instant, kib_and_up, printable, table
from cluster.moments import DAY_S
from cluster.units import parse_duration_s
from router.knowledge.objects import DifferenceObject, StoreObject, VersionObject


def versions_listing(versions: Sequence[VersionObject]) -> Listing:
    names = [str(one.version) for one in versions]
    return Listing("FileVersionList", document_of("versions", versions), names, partial(_versions_table, versions))


def _versions_table(versions: Sequence[VersionObject], view: View) -> str:
    rows = [
        (
            str(one.version), instant(one.made_at), "now" if one.ended_at is None else instant(one.ended_at),
            f"{one.chunks:,}", kib_and_up(one.usage_bytes), printable(one.title),
        )
        for one in versions
    ]  # fmt: skip
    return table(("VERSION", "FROM", "UNTIL", "PARTS", "SIZE", "TITLE"), rows, view.columns, ("SIZE",), ("TITLE",))


def print_difference(found: DifferenceObject, as_json: bool) -> None:
    if as_json:
        data_json("Difference", msgspec.to_builtins(found))
        return
    if found.text:
        data("\n".join(printable(line) for line in found.text.splitlines()))
    between = f"version {found.old.version} ({instant(found.old.made_at)}) and {found.new.version}"
    talk(f"{printable(found.filename)}, between {between}: {found.added} lines came, {found.removed} went")


def period_days(said: str) -> float:
    """Raises typer.BadParameter."""
    try:
        found = parse_duration_s(said)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
    if found <= 0:
        raise typer.BadParameter("longer than nothing", param_hint="--for")
    return found / DAY_S


def kept_text(space: StoreObject) -> str:
    kept = space.potluck.history
    if not kept:
        return f"{space.name}: every version of every file is kept"
    most = "" if kept.versions is None else f"{kept.versions} versions of each file at most"
    period = "" if kept.days is None else f"none longer than {kept.days:g} days after it ended"
    return f"{space.name}: {', and '.join(filter(None, (most, period)))}"
