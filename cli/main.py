"""The `potluck` command: the tree of commands, and the one place where an error becomes an exit code."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import (
    audit,
    batches,
    cache,
    chat,
    config,
    connect,
    demo,
    doctor,
    engines,
    firewall,
    fit,
    join,
    keys,
    logs,
    models,
    nodes,
    privacy,
    privacy_erasing,  # noqa: F401 - it adds its commands to those of privacy
    rag,
    rag_history,  # noqa: F401 - it adds its commands to those of rag
    ray,
    route,
    sealed,
    services,
    status,
    token,
    top,
    up,
    usage,
)
from cli.conformance.command import conformance
from cli.errors import exit_code_of
from cli.help import ACCESS, DOCUMENTS, MACHINES, MAX_WIDTH, MODELS, RECORDS, RUN, SERVICES, Commands


class PotluckApp(typer.Typer):
    """A Typer app whose known errors end as one line on stderr and a documented exit code."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            code = exit_code_of(error)
            if code is None or os.environ.get("POTLUCK_TRACEBACK"):
                raise
            typer.echo(f"potluck: {error}", err=True)
            sys.exit(code)


PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = PotluckApp(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH},
    help="Your unlike machines, pooled into one private AI service.",
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 the answer is no, 4 not found, 5 unauthorised, 6 unreachable, "
    "7 timeout, 130 interrupted.",
)


@app.callback()
def root(
    state_dir: Annotated[Path | None, typer.Option("--state-dir", help="Keep all state here.")] = None,
) -> None:
    if state_dir is not None:
        os.environ["POTLUCK_STATE_DIR"] = str(state_dir)


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed_version

    typer.echo(installed_version("potluck"))


app.command(name="up", rich_help_panel=RUN)(up.up)
app.command(name="down", rich_help_panel=RUN)(up.down)
app.command(name="status", rich_help_panel=RUN)(status.status)
app.command(name="top", rich_help_panel=RUN)(top.top)
app.command(name="logs", rich_help_panel=RUN)(logs.logs)
app.command(name="doctor", rich_help_panel=RUN)(doctor.doctor)
app.command(name="chat", rich_help_panel=RUN)(chat.chat)
app.command(name="connect", rich_help_panel=RUN)(connect.connect)
app.command(name="version", rich_help_panel=RUN)(version)
app.command(name="conformance", rich_help_panel=RUN)(conformance)
app.add_typer(nodes.app, name="nodes", cls=Commands, rich_help_panel=MACHINES)
app.add_typer(token.app, name="token", cls=Commands, rich_help_panel=MACHINES)
app.command(name="join", rich_help_panel=MACHINES)(join.join)
app.command(name="firewall", rich_help_panel=MACHINES)(firewall.firewall)
app.add_typer(models.app, name="models", cls=Commands, rich_help_panel=MODELS)
app.add_typer(engines.app, name="engines", cls=Commands, rich_help_panel=MODELS)
app.command(name="fit", rich_help_panel=MODELS)(fit.fit)
app.command(name="capacity", rich_help_panel=MODELS)(fit.capacity)
app.add_typer(rag.app, name="rag", cls=Commands, rich_help_panel=DOCUMENTS)
app.add_typer(config.app, name="config", cls=Commands, rich_help_panel=ACCESS)
app.add_typer(keys.app, name="keys", cls=Commands, rich_help_panel=ACCESS)
app.add_typer(privacy.app, name="privacy", cls=Commands, rich_help_panel=ACCESS)
app.command(name="usage", rich_help_panel=RECORDS)(usage.usage)
app.add_typer(route.app, name="route", cls=Commands, rich_help_panel=RECORDS)
app.command(name="batches", rich_help_panel=RECORDS)(batches.batches)
app.add_typer(cache.app, name="cache", cls=Commands, rich_help_panel=RECORDS)
app.add_typer(sealed.app, name="sealed", cls=Commands, rich_help_panel=RECORDS)
app.add_typer(audit.app, name="audit", cls=Commands, rich_help_panel=RECORDS)
app.add_typer(privacy.app, name="privacy", cls=Commands, rich_help_panel=RECORDS)
app.command(name="node", rich_help_panel=SERVICES)(services.node)
app.command(name="head", rich_help_panel=SERVICES)(services.head)
app.command(name="gateway", rich_help_panel=SERVICES)(services.gateway)
app.command(name="ray", context_settings=PASSED_ON, rich_help_panel=SERVICES)(ray.ray)
app.command(name="ray-bridge", rich_help_panel=SERVICES)(ray.ray_bridge)
app.command(name="supervise", hidden=True)(services.supervise)
app.command(name="demo-service", hidden=True)(demo.demo_service)

if __name__ == "__main__":
    app()
