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
    models,
    nodes,
    ray,
    route,
    services,
    status,
    token,
    up,
    usage,
)
from cli.conformance.command import conformance
from cli.errors import exit_code_of


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


app = PotluckApp(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed_version

    typer.echo(installed_version("potluck"))


app.command(name="up")(up.up)
app.command(name="down")(up.down)
app.command(name="status")(status.status)
app.command(name="chat")(chat.chat)
app.command(name="connect")(connect.connect)
app.command(name="conformance")(conformance)
app.command(name="usage")(usage.usage)
app.command(name="doctor")(doctor.doctor)
app.command(name="node")(services.node)
app.command(name="head")(services.head)
app.command(name="gateway")(services.gateway)
app.command(name="supervise", hidden=True)(services.supervise)
app.command(name="demo-service", hidden=True)(demo.demo_service)
app.command(name="fit")(fit.fit)
app.command(name="capacity")(fit.capacity)
app.command(name="firewall")(firewall.firewall)
app.command(name="ray", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(ray.ray)
app.command(name="ray-bridge")(ray.ray_bridge)
app.command(name="join")(join.join)
app.add_typer(token.app, name="token")
app.add_typer(nodes.app, name="nodes")
app.add_typer(models.app, name="models")
app.add_typer(engines.app, name="engines")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(audit.app, name="audit")
app.add_typer(cache.app, name="cache")
app.command(name="batches")(batches.batches)
app.add_typer(route.app, name="route")

if __name__ == "__main__":
    app()
