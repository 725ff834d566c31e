"""`potluck models pull` on a machine that has joined: from another machine of the cluster where one holds the model.

The internet is used once for each model, by the machine that asks first.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cli.output import byte_progress, talk
from inventory.catalog import ModelName

if TYPE_CHECKING:
    from inventory.catalog import ArtifactFormat, StoredModel
    from inventory.paths import StatePaths
    from inventory.progress import Progress
    from nodes.join_wire import OffersBody
    from nodes.orders import PullOrder
    from nodes.snapshot import NodeId


class NotInClusterError(Exception):
    """No machine holds a model of this name in a format of use here. The command prints this and exits 4."""

    status = 404


def from_cluster(
    paths: "StatePaths", asked: str, name: str | None, format: "ArtifactFormat | None"
) -> "tuple[StoredModel, ...]":
    """What others hold of it, copied. Empty where `asked` is a source that nobody has pulled yet, or nobody to ask.

    Raises HeadCallError where a bare name was asked for, NotInClusterError, and what copy_artifact raises.
    """
    from nodes.membership import read_membership

    if read_membership(paths.identity) is None:
        return ()
    orders = _orders(paths, asked, format)
    return tuple(_copy(paths, replace(order, name=ModelName(name) if name else order.name)) for order in orders)


def _orders(paths: "StatePaths", asked: str, format: "ArtifactFormat | None") -> "tuple[PullOrder, ...]":
    from nodes.head_client import HeadCallError
    from nodes.join_wire import OffersBody

    if asked.startswith("file:"):
        return ()
    is_source = ":" in asked
    formats = (format,) if format else () if is_source else _formats_of_use(paths)
    body = OffersBody("" if is_source else asked, asked if is_source else "", formats)
    try:
        orders = asyncio.run(_ask(paths, body))
    except HeadCallError as error:
        if not is_source:
            raise
        talk(f"! {error}; so it is fetched from where it comes from")
        return ()
    if not orders and not is_source:
        wanted = f" as {' or '.join(formats)}" if formats else ""
        raise NotInClusterError(f"no machine of this cluster holds {asked}{wanted}; give its source, as in hf:ORG/REPO")
    return orders


def _formats_of_use(paths: "StatePaths") -> "tuple[ArtifactFormat, ...]":
    """Those of the engines that are installed here; none installed, none preferred."""
    from cluster.desired import FORMATS_OF
    from nodes.engine_envs import installed

    return tuple(dict.fromkeys(format for found in installed(paths.engines) for format in FORMATS_OF[found.kind]))


async def _ask(paths: "StatePaths", body: "OffersBody") -> "tuple[PullOrder, ...]":
    from nodes.head_client import HeadClient, HeadPlace
    from nodes.identity import IdentityFiles
    from nodes.membership import read_membership
    from nodes.pulls import as_known_here
    from nodes.tls_contexts import client_context

    membership = read_membership(paths.identity)
    assert membership is not None, "asked for by the caller"
    context = client_context(IdentityFiles.at(paths.identity, "node"))
    client = HeadClient(HeadPlace(membership.head_host, membership.join_port), context)
    return tuple(as_known_here(order, membership) for order in (await client.offers(body)).orders)


def _copy(paths: "StatePaths", order: "PullOrder") -> "StoredModel":
    from cli.wire import model_store
    from nodes.artifact_copy import copy_artifact
    from nodes.pulls import own_context

    with byte_progress(f"copying {order.name}") as progress:
        return copy_artifact(model_store(paths), order, own_context(paths.identity), _Shown(order, progress))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Implements nodes.artifact_copy.CopyWatcher on a terminal."""

    order: "PullOrder"
    progress: "Progress"

    def asking(self, node: "NodeId") -> None:
        talk(f"{self.order.name} as {self.order.format}, from {node}")

    def moved(self, done_bytes: int, total_bytes: int) -> None:
        self.progress(done_bytes, total_bytes)

    def checked(self, done_bytes: int, total_bytes: int | None) -> None:
        self.progress(done_bytes, total_bytes)
