"""`potluck privacy`: where data may go, what is kept of people, and how it leaves."""

import typer

app = typer.Typer(no_args_is_help=True, help="What is kept of people: handed over, erased, proved.")
