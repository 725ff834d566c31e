"""The `potluck` command in this process, as it looks in a terminal of a given width, and in a pipe."""

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import pytest

from cli.main import app
from inventory.clock import SystemClock
from inventory.paths import StatePaths


@dataclass(frozen=True)
class Shown:
    status: int
    out: str
    err: str


class Screen(StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def shown(words: tuple[str, ...], paths: StatePaths, columns: int | None, now_s: float) -> Shown:
    """`columns`: of the terminal on stdout and stderr; None: they are pipes. Nobody answers questions."""
    out, err = (StringIO(), StringIO()) if columns is None else (Screen(), Screen())
    with pytest.MonkeyPatch.context() as world:
        for name in ("FORCE_COLOR", "NO_COLOR", "POTLUCK_TRACEBACK"):
            world.delenv(name, raising=False)
        world.setenv("TERM", "dumb")
        world.setenv("COLUMNS", str(columns or 80))
        world.setenv("HOME", str(paths.root))
        for name in [name for name in os.environ if name.startswith("XDG_")]:
            world.delenv(name)
        world.setenv("POTLUCK_STATE_DIR", str(paths.root))
        world.setenv("POTLUCK_ENGINES_DIR", str(paths.root / "engines"))
        world.setattr(SystemClock, "wall_s", staticmethod(lambda: now_s))
        world.setattr(sys, "argv", ["potluck"])
        world.setattr(sys, "stdin", StringIO())
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app(list(words), prog_name="potluck", standalone_mode=True)
    code = ended.value.code
    return Shown(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
