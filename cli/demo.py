"""`potluck up --demo` and `down --demo`: a simulated cluster in a directory of its own, made anew each time."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import StateDir, paths_of
from cli.output import data, talk
from cli.services import Supervised, on_close
from inventory.paths import StatePaths

if TYPE_CHECKING:
    from cli.endpoint import Endpoint
    from cli.machine import Supervisor

DemoRole = Literal["up", "head", "gateway", "node"]
SAID = """\
SIMULATED: three machines that are only described. Their engines keep the pace that arithmetic gives such hardware,
loads are shortened, no model is behind any answer, and nothing was downloaded. Head, gateway, node daemons, placement,
fit and routing are the real ones. Nothing leaves this machine, and no other can join."""
ASKED = "Two made-up keys, class-7b and household, ask a few questions a minute for an hour (not with --no-traffic)."


class NotADemoError(Exception):
    """There is something else where the demo would be. The command prints this and exits 1."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"{root} holds no demo of `potluck up --demo`, so it is left alone; give another --state-dir")


def place_of(state_dir: Path | None) -> StatePaths:
    """The demo's own directory below the one that commands use, or that one where it is a demo's. It is exported, so
    that child processes use it."""
    paths = paths_of(state_dir)
    return paths_of(paths.root if paths.is_demo else paths.demo.root)


def ensure_running(
    paths: StatePaths, host: str | None, port: int | None, detach: bool, traffic: bool
) -> "Supervisor | None":
    """Start the demo unless it runs, from nothing, whatever an earlier one left. Returns it when this started it."""
    from cli.machine import check_door, start
    from cli.wire_demo import lay_out
    from nodes.role_lock import running

    if paths.root.exists() and running(paths.run, "up") is not None:
        return None
    clear(paths)
    lay_out(paths)
    check_door(paths, host, port)
    door = (["--host", host] if host else []) + (["--port", str(port)] if port is not None else [])
    return start(paths, ["demo-service", "up", *door, *(["--traffic"] if traffic else [])], detach)


def clear(paths: StatePaths) -> list[str]:
    """Stop the demo, and delete its directory. Returns what was stopped. Raises NotADemoError."""
    from cli.machine import stop_everything
    from cli.wire_demo import every_place

    if not paths.root.exists():
        return []
    if not paths.is_demo:
        raise NotADemoError(paths.root)
    stopped = [one for place in every_place(paths) for one in stop_everything(place)]
    for place in every_place(paths):
        if place.socket_dir != place.run:
            shutil.rmtree(place.socket_dir, ignore_errors=True)
    shutil.rmtree(paths.root, ignore_errors=True)  # a process that ends this very moment may take files away as well
    if paths.root.exists():
        shutil.rmtree(paths.root)
    return stopped


def announce(paths: StatePaths, endpoint: "Endpoint", traffic: bool, as_json: bool) -> None:
    told = {"endpoint": endpoint.base_url, "api_key": endpoint.api_key, "dashboard": endpoint.dashboard_url}
    if as_json:
        import json

        data(json.dumps({**told, "state_dir": str(paths.root), "simulated": True}))
        return
    talk(SAID)
    if traffic:
        talk(ASKED)
    data(f"endpoint  {endpoint.base_url}\napi key   {endpoint.api_key}\ndashboard {endpoint.dashboard_url}")
    data(f"commands  POTLUCK_STATE_DIR={paths.root} potluck nodes ls")
    data("stop      potluck down --demo")


def demo_service(
    role: DemoRole,
    machine: Annotated[str, typer.Option(help="Of the role node: which of the described machines.")] = "",
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    traffic: Annotated[bool, typer.Option("--traffic")] = False,
    state_dir: StateDir = None,
    supervised: Supervised = False,
) -> None:
    """Run one process of the demo. `potluck up --demo` starts this."""
    from cli import wire_demo
    from cli.process import run_service

    paths = paths_of(state_dir)
    if role == "up":
        service = wire_demo.supervisor_service(paths, host, port, traffic)
        run_service(role, paths.root, service, "abandon" if supervised else "ignore")
    elif role == "node":
        run_service(role, paths.root, wire_demo.node_service(paths, machine), on_close(supervised))
    elif role == "gateway":
        run_service(role, paths.root, wire_demo.gateway_service(paths, host, port), on_close(supervised))
    else:
        run_service(role, paths.root, wire_demo.head_service(paths), on_close(supervised))
