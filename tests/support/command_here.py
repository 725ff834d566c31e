"""The `potluck` command in this process: there is no start of another to wait for."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import pytest

from cli.main import PotluckApp, app
from inventory.paths import StatePaths


@dataclass(frozen=True)
class Said:
    stdout: str
    stderr: str


def potluck(command: str, paths: StatePaths, *arguments: str, expect: int = 0, program: PotluckApp = app) -> Said:
    """It ends with the exit code that a shell would see. `program` has fewer commands where one is asked hundreds of
    times: Typer builds the whole tree anew for each."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("POTLUCK_STATE_DIR", "")  # commands set it; leaving this block takes it back
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            program([command, *arguments, "--state-dir", str(paths.root)], standalone_mode=True)
    said = Said(out.getvalue(), err.getvalue())
    assert (ended.value.code or 0) == expect, f"{command} {arguments}: {said}"
    return said
