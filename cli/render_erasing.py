"""What is kept of a person, and what was erased, as text and as JSON."""

from functools import partial

import msgspec
import typer

from cli.output import Listing, View, data_json, document_of, talk
from cli.table import instant, printable, table
from router.erasing.wire import ErasureObject, ErasureObjects, HoldingObjects


def holdings_listing(found: HoldingObjects) -> Listing:
    names = [f"{one.place}: {one.what}" for one in found.data]
    return Listing("PrivacyHoldings", document_of("holdings", found.data), names, partial(_holdings_table, found))


def _holdings_table(found: HoldingObjects, view: View) -> str:
    rows = [(one.place, one.what, f"{one.count:,}") for one in found.data]
    return table(("PLACE", "WHAT", "COUNT"), rows, view.columns, ("COUNT",), ())


def erasures_listing(found: ErasureObjects) -> Listing:
    names = [one.id for one in found.data]
    return Listing("ErasureList", document_of("erasures", found.data), names, partial(_erasures_table, found))


def _erasures_table(found: ErasureObjects, view: View) -> str:
    rows = [
        (one.id, one.state, instant(one.begun_at), f"{sum(held.count for held in one.holdings):,}", one.trouble)
        for one in found.data
    ]
    return table(
        ("ERASURE", "STATE", "BEGUN", "COUNT", "WHY NOT YET"), rows, view.columns, ("COUNT",), ("WHY NOT YET",)
    )


def print_erasure(done: ErasureObject, as_json: bool) -> None:
    """Exit 3 where it is not done yet."""
    if as_json:
        data_json("Erasure", msgspec.to_builtins(done))
    for path in done.outside:
        talk(f"{printable(path)} lies in a folder that potluck only reads: delete it there")
    if done.state != "done":
        talk(f"{done.id} is begun, and goes on by itself: {done.trouble}")
        raise typer.Exit(3)
    talk(f"{done.id}: done; {sum(one.count for one in done.holdings):,} things went")
