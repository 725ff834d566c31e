"""`potluck firewall`: rules that leave the cluster's ports to its members."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import data

if TYPE_CHECKING:
    from cluster.config import ClusterConfig
    from cluster.firewall import FirewallPlan
    from cluster.snapshot import ClusterSnapshot

Format = Annotated[str | None, typer.Option("--format", help="nft or pf; this system's own otherwise.")]
Member = Annotated[list[str] | None, typer.Option("--member", help="Address of one more machine; repeat as needed.")]


def firewall(format: Format = None, member: Member = None, state_dir: StateDir = None) -> None:
    """Print firewall rules for the machines of this cluster. They are yours to look at, and to load."""
    import asyncio
    import sys

    from cli.wire import load_or_default
    from cluster.admin_client import AdminClient
    from cluster.firewall import render

    kind = format or ("pf" if sys.platform == "darwin" else "nft")
    if kind not in ("nft", "pf"):
        raise typer.BadParameter(f"{kind!r} is neither nft nor pf", param_hint="--format")
    paths = paths_of(state_dir)
    snapshot = asyncio.run(AdminClient(paths.head_socket).snapshot())
    plan = plan_of(load_or_default(paths).config, snapshot, tuple(member or ()))
    data(render(plan, "pf" if kind == "pf" else "nft"))


def plan_of(config: "ClusterConfig", snapshot: "ClusterSnapshot", more: tuple[str, ...]) -> "FirewallPlan":
    """Who is a member, and which ports are theirs alone. Raises NotAnAddressError for one of `more`."""
    from cluster.firewall import FirewallPlan, PortRange, checked_addresses
    from cluster.ray_settings import RayPorts

    addresses = [node.address for node in snapshot.nodes if node.address is not None]
    head = [config.cluster.listen] if config.cluster.listen else []
    node_ports = sorted({address.port for address in addresses})
    ray = RayPorts(config.ray.port).ranges if config.ray.enabled else ()
    return FirewallPlan(
        members=checked_addresses((*head, *(address.host for address in addresses), *more)),
        guarded=(
            *(PortRange(port, port, "node API and engines (TLS)") for port in node_ports),
            *(PortRange(first, last, "Ray") for first, last in ray),
        ),
        open=(
            PortRange(config.gateway.port, config.gateway.port, "the OpenAI-compatible endpoint"),
            PortRange(config.join.port, config.join.port, "joining and renewing certificates (TLS)"),
        ),
    )
