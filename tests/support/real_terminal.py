"""The `potluck` command as a process in a terminal: a pseudo-terminal, whose screen and keyboard a test has."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

POTLUCK = Path(sys.executable).parent / "potluck"
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*3[0-9][0-9;]*m")
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"  # the alternate screen
SHOWN_CURSOR = "\x1b[?25h"
INTERRUPT = "\x03"  # what Ctrl-C sends
# Its keyboard can interrupt it, also where whoever runs the tests is deaf to that.
BEGIN = "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); \
signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """`written` is all that reached the screen so far, control sequences included."""

    def __init__(self, words: tuple[str, ...], environment: Mapping[str, str], rows: int, columns: int) -> None:
        self._screen, self._keyboard = pty.openpty()
        termios.tcsetwinsize(self._keyboard, (rows, columns))
        self.before = self.settings()
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, POTLUCK, *words],
            stdin=self._keyboard,
            stdout=self._keyboard,
            stderr=self._keyboard,
            env={**inherited, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        self.written = ""

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._keyboard)

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def until(self, text: str, within_s: float = 60.0) -> None:
        """Reads until this was written."""
        end_s = monotonic() + within_s
        while text not in self.written:
            assert monotonic() < end_s, f"{text!r} was not written within {within_s} s: {self.written!r}"
            self._read(0.2)

    def ended(self, within_s: float = 60.0) -> int:
        """The exit status; reads what is left."""
        end_s = monotonic() + within_s
        while self.process.poll() is None:
            assert monotonic() < end_s, f"it goes on: {self.written!r}"
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._screen], [], [], wait_s)[0]:
            return False
        self.written += os.read(self._screen, 65536).decode(errors="replace")
        return True

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)
        os.close(self._keyboard)


@contextmanager
def in_a_terminal(
    *words: str, state_dir: Path, rows: int = 50, columns: int = 120, **environment: str
) -> Iterator[Terminal]:
    with Terminal(words, {"POTLUCK_STATE_DIR": str(state_dir), **environment}, rows, columns) as terminal:
        yield terminal
