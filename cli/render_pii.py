"""How `potluck privacy scan` shows what it found."""

from collections.abc import Sequence

import msgspec

from cli.output import data, data_json, talk
from cli.scanning import Finding
from cli.table import table


def print_scan(found: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        data_json("PiiScan", {"found": [msgspec.to_builtins(one) for one in found]})
        return
    if not found:
        talk("nothing was found")
        return
    rows = [(str(one.line), one.kind, one.masked, f"{one.confidence:.2f}", _becomes(one), one.reason) for one in found]
    data(table(("LINE", "KIND", "VALUE", "SURE", "BECOMES", "WHY"), rows))


def _becomes(one: Finding) -> str:
    return "off" if one.policy == "off" else f"{one.policy} ({one.who})"
