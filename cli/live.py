"""A screen that stays current until somebody leaves it: `q`, or Ctrl-C. The terminal is left as it was found."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.errors import exit_code_of

Value = TypeVar("Value")

COLOURS = {
    "█+": "blue",
    "▓+": "cyan",
    "▒+": "magenta",
    "·{3,}": "dim",
    r"(?m)^! .*$": "yellow",
    "(?m)^[A-Z](?:[A-Z0-9/ ]|GiB)*$": "bold",
}
LEAVE = frozenset({"q", "Q", "\x04"})


async def stay(look: Callable[[], Awaitable[Value]], text_of: Callable[[Value], str], every_s: float) -> None:
    """Looks again and again. An error of ours at the first look is raised; a later one stands above what was seen
    last, for things come back."""
    seen = await look()
    left, trouble = asyncio.Event(), ""
    with _keys(left), Live(console=Console(), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while not left.is_set():
            live.update(coloured(trouble + text_of(seen)), refresh=True)
            try:
                async with asyncio.timeout(every_s):
                    await left.wait()
            except TimeoutError:
                pass
            else:
                return
            try:
                seen, trouble = await look(), ""
            except Exception as error:
                if exit_code_of(error) is None:
                    raise
                trouble = f"! {error}\n\n"


def coloured(text: str) -> Text:
    """NO_COLOR is the console's business. No markup is read."""
    shown = Text(text, overflow="fold")
    for pattern, style in COLOURS.items():
        shown.highlight_regex(pattern, style)
    return shown


@contextmanager
def _keys(left: asyncio.Event) -> Iterator[None]:
    """Sets `left` when somebody presses `q`. Keys are not shown meanwhile; where stdin is no terminal, nobody can."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def pressed() -> None:
        keys = os.read(descriptor, 64).decode(errors="replace")
        if not keys or LEAVE & {*keys}:  # none: the terminal is gone
            left.set()

    tty.setcbreak(descriptor)  # Ctrl-C is a signal still
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
