"""Options that many commands share, and what they turn into."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from inventory.paths import StatePaths

StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Keep all state here (or POTLUCK_STATE_DIR).")]
OutputForm = Literal["table", "wide", "json", "yaml", "name"]
"""What a list is printed as. wide: with columns that few need. name: one a line, for other commands."""
Output = Annotated[OutputForm, typer.Option("--output", "-o", help="table, wide, json, yaml, or name: one a line.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show it again when it changes. `q` leaves.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, stable and versioned.")]


def paths_of(state_dir: Path | None) -> StatePaths:
    """The state directory of this command. The choice is exported, so that child processes make the same one."""
    if state_dir is not None:
        os.environ["POTLUCK_STATE_DIR"] = str(state_dir.expanduser().absolute())
    return StatePaths.at()


def moment_s(text: str, now_s: float, option: str) -> float:
    """A duration before now, or a day or moment, UTC unless it says otherwise. Raises typer.BadParameter."""
    from datetime import UTC, datetime

    from cluster.units import parse_duration_s

    try:
        return now_s - parse_duration_s(text)
    except ValueError:
        pass  # it may be a day or a moment
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{text!r} is neither a duration (24h, 7d) nor a day or moment (2026-11-01, 2026-11-01T09:30)"
        raise typer.BadParameter(problem, param_hint=option) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
