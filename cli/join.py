"""`potluck join`: make this machine a node of a cluster, with one line that the head printed."""

import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated

import typer

from cli.checks.finding import Finding
from cli.doctor import MARKS
from cli.options import StateDir, paths_of
from cli.output import data, talk
from inventory.paths import StatePaths

if TYPE_CHECKING:
    import asyncio

    from cluster.join_client import Wish
    from cluster.join_token import JoinToken
    from nodes.head_client import HeadPlace
    from nodes.join_wire import Joined, Reported

SEEN_WITHIN_S = 20.0
ANNOUNCED_WITHIN_S = 5.0


class AlreadyJoinedError(Exception):
    """This state directory belongs to a cluster. The command prints this and exits 1."""


def join(
    token: Annotated[str, typer.Option("--token", help="From `potluck token create` on the head.")],
    head: Annotated[
        str,
        typer.Argument(metavar="HOST:PORT", help="The head's join listener; looked for on this network if left out."),
    ] = "",
    node: Annotated[str, typer.Option("--node", help="Insist on this name; the token's otherwise.")] = "",
    listen: Annotated[str, typer.Option("--listen", help="Address of this machine's own TLS port.")] = "0.0.0.0",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="This machine's own TLS port.")] = 8402,
    host: Annotated[str, typer.Option("--host", help="How the head reaches this machine, if it cannot see.")] = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave the node running in the background.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Join a cluster, check this machine, and run its node. After a reboot, `potluck node` is all it takes."""
    import asyncio

    from cluster.join_client import Wish
    from cluster.join_token import parse_token

    paths = paths_of(state_dir).ensure()
    _refuse_second(paths)
    parsed, place = parse_token(token), _place(head) if head else None
    joined = _join(paths, place, parsed, Wish(node, host, listen, port))
    for finding in _findings(paths, joined):
        _tell(finding)
    if detach:
        _start(paths)
        _tell(asyncio.run(_seen(paths, port)))
        talk(f"{joined.node} runs; after a reboot: potluck node")
        return
    talk(f"{joined.node} runs until Ctrl-C; next time: potluck node")
    _run_here(paths, port)


def _join(paths: StatePaths, place: "HeadPlace | None", token: "JoinToken", wish: "Wish") -> "Joined":
    import asyncio

    from cluster import discover, join_client
    from inventory.clock import SystemClock

    if token.expires_s <= SystemClock().wall_s():
        talk("!     token       expired, by this machine's clock; the head decides")
    if place is None:
        talk(f"looking for the head on this network, up to {ANNOUNCED_WITHIN_S:.0f} s")
        found = asyncio.run(discover.find_head(token, ANNOUNCED_WITHIN_S))
        place, ca_pem = found.place, found.ca_pem
    else:
        ca_pem = asyncio.run(join_client.fetch_authority(place, token))
    _tell(Finding("head", "ok", f"{place} answers, with the authority that the token names"))
    joined = asyncio.run(join_client.join(paths, place, token, ca_pem, wish))
    _tell(Finding("token", "ok", f"accepted: this machine is {joined.node} of {joined.cluster}"))
    return joined


def _findings(paths: StatePaths, joined: "Joined") -> tuple[Finding, ...]:
    from cli import join_checks
    from cli.wire import all_probes
    from inventory.clock import SystemClock
    from inventory.probe import survey
    from nodes.engine_envs import installed
    from nodes.ray_versions import versions_here
    from nodes.snapshot import InstalledEngine

    engines = [InstalledEngine(found.kind, found.version) for found in installed(paths.engines)]
    return (
        join_checks.check_clock(joined, SystemClock().wall_s()),
        join_checks.check_versions(joined, versions_here()),
        join_checks.check_engines(engines),
        join_checks.check_memory(survey(all_probes(paths.models), frozenset())),
        join_checks.check_sleep(),
    )


def _start(paths: StatePaths) -> None:
    """`potluck node` in a session of its own. Raises StartFailedError."""
    import subprocess

    from cli.machine import StartFailedError, tail_of
    from nodes.role_lock import running

    log_file = paths.logs / "node.log"
    argv = [sys.executable, "-P", "-m", "cli.main", "node", "--state-dir", str(paths.root)]
    with log_file.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=paths.root
        )
    deadline = monotonic() + SEEN_WITHIN_S
    while running(paths.run, "node") is None:
        if process.poll() is not None or monotonic() > deadline:
            raise StartFailedError(log_file, tail_of(log_file))
        sleep(0.05)


async def _seen(paths: StatePaths, port: int) -> Finding:
    """Whether the head reaches back: it must show this machine as ready."""
    import asyncio

    from nodes.head_client import HeadCallError, HeadClient, HeadPlace
    from nodes.identity import IdentityFiles
    from nodes.join_wire import ReportBody, Reported
    from nodes.membership import read_membership
    from nodes.tls_contexts import client_context

    membership = read_membership(paths.identity)
    assert membership is not None, "it has just been written"
    context = client_context(IdentityFiles.at(paths.identity, "node"))
    client = HeadClient(HeadPlace(membership.head_host, membership.join_port), context)
    seen = Reported("unknown", "")
    deadline = monotonic() + SEEN_WITHIN_S
    while seen.state != "ready" and monotonic() < deadline:
        try:
            seen = await client.report(ReportBody(port, membership.host))
        except HeadCallError as error:
            seen = Reported("unknown", str(error))
        await asyncio.sleep(0.5)
    return reach_back(seen, port)


def reach_back(seen: "Reported", port: int) -> Finding:
    """The words for what the head says of this machine."""
    if seen.state in ("ready", "cordoned"):
        return Finding("reached", "ok", f"the head reaches this machine: {seen.state} {seen.reason}".rstrip())
    return Finding(
        "reached",
        "warn",
        f"the head does not reach this machine: {seen.state}, {seen.reason}",
        f"let the head through to TCP port {port} in this machine's firewall, then: potluck nodes ls (on the head)",
    )


def _run_here(paths: StatePaths, port: int) -> None:
    import asyncio

    from cli.process import run_service
    from cli.wire import node_service

    node = node_service(paths)

    async def service(stop: "asyncio.Event") -> None:
        telling = asyncio.create_task(_tell_seen(paths, port))
        try:
            await node(stop)
        finally:
            telling.cancel()

    run_service("node", paths.root, service, "ignore")


async def _tell_seen(paths: StatePaths, port: int) -> None:
    _tell(await _seen(paths, port))


def _refuse_second(paths: StatePaths) -> None:
    from nodes.membership import read_membership

    if paths.is_demo:
        raise AlreadyJoinedError(f"{paths.root} is of a demo, whose machines join nothing; give another --state-dir")
    membership = read_membership(paths.identity)
    if membership is not None:
        raise AlreadyJoinedError(
            f"this machine is {membership.node_id} of {membership.cluster} already; start it with `potluck node`. "
            f"To join anew, remove it on the head (potluck nodes rm {membership.node_id}) and delete {paths.identity}"
        )


def _place(text: str) -> "HeadPlace":
    from nodes.head_client import HeadPlace

    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= 65535:
        raise typer.BadParameter("write it as HOST:PORT, as the head printed it", param_hint="HOST:PORT")
    return HeadPlace(host.strip("[]"), int(port))


def _tell(finding: Finding) -> None:
    data(f"{MARKS[finding.verdict]}  {finding.name:<10}  {finding.detail}")
    if finding.fix:
        data(f"                  -> {finding.fix}")
