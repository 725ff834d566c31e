"""`potluck doctor`: what is wrong on this machine, and what to do about it."""

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json

MARKS = {"ok": "ok  ", "warn": "!!  ", "fail": "FAIL"}


def doctor(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Check this machine. Exit 3 when something must be mended before potluck can serve."""
    from dataclasses import asdict

    from cli.checks import CHECKS

    paths = paths_of(state_dir)
    findings = [check(paths) for check in CHECKS]
    if as_json:
        data_json("DoctorReport", {"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            data(f"{MARKS[finding.verdict]}  {finding.name:<10}  {finding.detail}")
            if finding.fix:
                data(f"                  -> {finding.fix}")
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(3)
