"""`potluck audit`: who did what, whether that is still what was written, and what of it may be forgotten."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, data_json, talk, terminal_columns

app = typer.Typer(no_args_is_help=True, help="The audit of this cluster, on the head's machine.")


@app.command()
def tail(
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the last records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each that is written.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show the last records. Personal fields are shown where their key has not been erased."""
    from cli.audit_checks import follow_records, last_records
    from cli.render_audit import record_document, record_line, record_table

    paths = paths_of(state_dir)
    shown = last_records(paths, count)
    if as_json and not follow:
        data_json("AuditRecordList", {"records": [record_document(record) for record in shown]})
        return
    if not as_json:
        data(record_table(shown, terminal_columns()))
    for record in follow_records(paths, shown) if follow else ():
        data(record_line(record, as_json=as_json))


@app.command()
def verify(
    file: Annotated[Path | None, typer.Option("--file", help="An export; the audit of this machine otherwise.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The public key that signed it, as 64 digits.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Read every record and every checkpoint, also those that members keep. Exit 3 names the first bad record."""
    from cli.audit_checks import verify_export, verify_log
    from cli.render_audit import verdict_document, verdict_text

    paths = paths_of(state_dir)
    checked = verify_export(paths, file, key) if file is not None else verify_log(paths, key)
    if as_json:
        data_json("AuditVerdict", verdict_document(checked))
    else:
        data(verdict_text(checked))
    if checked.verdict.finding is not None:
        raise typer.Exit(3)


@app.command()
def export(
    since: Annotated[str, typer.Option("--from", help="First day or moment, UTC: 2026-11-21 or 2026-11-21T09:30.")],
    until: Annotated[str, typer.Option("--to", help="The day or moment before which it ends.")],
    out: Annotated[Path | None, typer.Option("--out", help="A file that does not exist yet; stdout otherwise.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Write records as JSON lines with the checkpoints that prove them: `audit verify --file` needs nothing else."""
    from cli.audit_checks import moment_ms, write_export

    paths = paths_of(state_dir)
    count = write_export(paths, moment_ms(since, "--from"), moment_ms(until, "--to"), out)
    talk(f"{count} records{f' in {out}' if out else ''}")


@app.command()
def erase(
    subject: Annotated[str, typer.Argument(help="Whom: address:192.168.1.7, key:anna, subject:anna.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Forget a person or an address for good: nobody can read those fields again, and the audit stays whole."""
    import asyncio

    from cluster.admin_client import AdminClient

    if not yes:
        typer.confirm(f"forget {subject}? This cannot be undone", abort=True)
    pseudonym = asyncio.run(AdminClient(paths_of(state_dir).head_socket).erase_subject(subject))
    talk(f"forgotten; records say {pseudonym}")
