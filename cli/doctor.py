"""`potluck doctor`: what is wrong here and in the cluster, and what to do about it."""

from typing import Annotated, Literal

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json

MARKS = {"ok": "ok  ", "warn": "!!  ", "fail": "FAIL"}
Subject = Literal["net", "gpu", "engine", "disk"]


def doctor(
    topic: Annotated[
        Subject | None,
        typer.Argument(
            help="net: ports, names, certificates, machines. gpu: GPUs and memory. engine: engines and what they serve."
            " disk: disks and models. Everything if left out."
        ),
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Check this machine, and the cluster as far as its head is here. Exit 3 when something must be mended."""
    from dataclasses import asdict

    from cli.checks.catalogue import checks_of
    from cli.checks.examine import examine_machine

    findings = examine_machine(paths_of(state_dir), checks_of(topic))
    if as_json:
        data_json("DoctorReport", {"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            data(f"{MARKS[finding.verdict]}  {finding.name:<12}  {finding.detail}")
            if finding.fix:
                data(f"                    -> {finding.fix}")
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(3)
