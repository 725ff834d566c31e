"""Options that many commands share, and what they turn into."""

import os
from pathlib import Path
from typing import Annotated

import typer

from inventory.paths import StatePaths

StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Keep all state here (or POTLUCK_STATE_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, stable and versioned.")]


def paths_of(state_dir: Path | None) -> StatePaths:
    """The state directory of this command. The choice is exported, so that child processes make the same one."""
    if state_dir is not None:
        os.environ["POTLUCK_STATE_DIR"] = str(state_dir.expanduser().absolute())
    return StatePaths.at()
