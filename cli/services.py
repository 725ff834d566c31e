"""The service processes: `potluck node`, `head`, `gateway`, and the supervisor that `up` starts."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import StateDir, paths_of

if TYPE_CHECKING:
    from cli.process import OnStdinClose

Sealed = Annotated[bool, typer.Option("--sealed", help="Refuse every address outside the cluster.")]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="Stop when stdin closes.")]


def node(state_dir: StateDir = None, sealed: Sealed = False, supervised: Supervised = False) -> None:
    """Run this machine's node daemon: it owns engines, probes and the model store."""
    from cli.process import run_service
    from cli.sealing import seal_if_wanted
    from cli.wire import node_service

    paths = paths_of(state_dir).ensure()
    seal_if_wanted(paths, sealed)
    run_service("node", paths.root, node_service(paths), on_close(supervised))


def head(state_dir: StateDir = None, sealed: Sealed = False, supervised: Supervised = False) -> None:
    """Run the control plane: configuration, placement, registry."""
    from cli.process import run_service
    from cli.sealing import seal_if_wanted
    from cli.wire import head_service

    paths = paths_of(state_dir).ensure()
    seal_if_wanted(paths, sealed)
    run_service("head", paths.root, head_service(paths), on_close(supervised))


def gateway(
    state_dir: StateDir = None,
    host: Annotated[str | None, typer.Option(help="Loopback address to listen on; cluster.yaml's otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free port; cluster.yaml's otherwise.")] = None,
    sealed: Sealed = False,
    supervised: Supervised = False,
) -> None:
    """Run the data plane: the OpenAI-compatible endpoint. It serves on when the head is down."""
    from cli.process import run_service
    from cli.sealing import seal_if_wanted
    from cli.wire import gateway_service

    paths = paths_of(state_dir).ensure()
    seal_if_wanted(paths, sealed)
    run_service("gateway", paths.root, gateway_service(paths, host, port), on_close(supervised))


def supervise(
    state_dir: StateDir = None,
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    sealed: Sealed = False,
    supervised: Supervised = False,
) -> None:
    """Run and keep running node, head and gateway. `potluck up` starts this."""
    from cli.process import run_service
    from cli.sealing import seal_if_wanted
    from cli.wire import supervisor_service

    paths = paths_of(state_dir).ensure()
    seal_if_wanted(paths, sealed)
    run_service("up", paths.root, supervisor_service(paths, host, port), "abandon" if supervised else "ignore")


def on_close(supervised: bool) -> "OnStdinClose":
    return "stop" if supervised else "ignore"
