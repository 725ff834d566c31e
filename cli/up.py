"""`potluck up` and `potluck down`: one machine, or a demo of three, started whole and stopped whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AsJson, StateDir, paths_of
from cli.output import data, talk

if TYPE_CHECKING:
    from cli.endpoint import Endpoint

HELLO = "What is the capital of France?"


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once models answer.")] = False,
    as_json: AsJson = False,
    install: Annotated[bool, typer.Option("--install", help="Fetch what is missing from the package index.")] = False,
    hello: Annotated[bool, typer.Option("--hello", help="Ask a model for a first answer.")] = False,
    config: Annotated[Path | None, typer.Option(help="Use this cluster.yaml from now on.")] = None,
    host: Annotated[str | None, typer.Option(help="Loopback address of the endpoint.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the endpoint; 0 takes any free one.")] = None,
    node: Annotated[str, typer.Option(help="This machine's name in cluster.yaml.")] = "",
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for models.")] = 600.0,
    demo: Annotated[
        bool, typer.Option("--demo", help="A simulated cluster of three machines: no GPU, no download, no model.")
    ] = False,
    traffic: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help="With --demo: two made-up keys ask now and then.")
    ] = True,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Refuse every address outside the cluster, and write down who tried.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Start potluck on this machine, or find it running. Prints the endpoint, the owner's key and the dashboard."""
    from cli.machine import Wishes, ensure_running
    from cli.readiness import wait_until_ready

    demo = demo or paths_of(state_dir).is_demo
    if demo:
        if config is not None or install or node or sealed:
            raise typer.BadParameter("a demo has its own configuration, engines and machines", param_hint="--demo")
        from cli import demo as simulated

        paths = simulated.place_of(state_dir)
        started = simulated.ensure_running(paths, host, port, detach, traffic)
    else:
        paths = paths_of(state_dir).ensure()
        if node:
            paths.node_name.write_text(node)
        started = ensure_running(paths, Wishes(config, install, host, port, detach, sealed))
    try:
        endpoint = wait_until_ready(paths, wait_s)
        if demo:
            simulated.announce(paths, endpoint, traffic, as_json)
        else:
            _announce(endpoint, as_json)
        if hello:
            _say_hello(paths.root)
        if started is not None and not detach:
            talk("running; Ctrl-C stops it")
            started.wait_to_end()
    except BaseException:
        if started is not None and not detach:
            started.stop()
        raise


def down(
    demo: Annotated[bool, typer.Option("--demo", help="Stop the simulated cluster, and delete all of it.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Stop potluck on this machine: services and engines, also engines that a crash left behind."""
    from cli.machine import stop_everything

    paths = paths_of(state_dir)
    if demo or paths.is_demo:
        from cli import demo as simulated

        stopped, hint = simulated.clear(simulated.place_of(state_dir)), ""
    else:
        stopped = stop_everything(paths)
        hint = "; the demo is stopped by `potluck down --demo`" if paths.demo.is_demo else ""
    talk(f"stopped: {', '.join(stopped)}" if stopped else f"nothing was running{hint}")


def _announce(endpoint: "Endpoint", as_json: bool) -> None:
    base_url, api_key, dashboard = endpoint.base_url, endpoint.api_key, endpoint.dashboard_url
    if as_json:
        import json

        data(json.dumps({"endpoint": base_url, "api_key": api_key, "dashboard": dashboard}))
    else:
        data(f"endpoint  {base_url}\napi key   {api_key}\ndashboard {dashboard}")


def _say_hello(root: Path) -> None:
    from cli.chat import first_model, stream_chat
    from cli.endpoint import local_endpoint
    from inventory.paths import StatePaths

    endpoint = local_endpoint(StatePaths.at(root))
    model = first_model(endpoint)
    answer = "".join(stream_chat(endpoint, model, [{"role": "user", "content": HELLO}], max_tokens=48))
    talk(f"{model}: {answer.strip()}")
