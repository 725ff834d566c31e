"""A list that is shown once, or again whenever it has changed."""

import sys
import time
from collections.abc import Callable

from cli.options import OutputForm
from cli.output import Listing, data, show, terminal_columns, text_of

AGAIN_S = 1.0


def present(look: Callable[[], Listing], form: OutputForm, as_json: bool, watch: bool) -> None:
    """Watched in a terminal it stays in place until `q`; in a pipe it comes again, after an empty line."""
    if not watch:
        show(look(), form, as_json)
    elif sys.stdout.isatty():
        import asyncio

        from cli.live import stay

        asyncio.run(
            stay(
                lambda: asyncio.to_thread(look), lambda seen: text_of(seen, form, as_json, terminal_columns()), AGAIN_S
            )
        )
    else:
        _again(look, form, as_json)


def _again(look: Callable[[], Listing], form: OutputForm, as_json: bool) -> None:
    told: str | None = None
    while True:
        text = text_of(look(), form, as_json, None)
        if text != told:
            data(text if told is None else f"\n{text}")
        told = text
        time.sleep(AGAIN_S)
