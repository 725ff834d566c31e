"""From a machine that has joined: whether its head is reached, proves to be it, and knows this machine still."""

import asyncio
import ssl
from collections.abc import Iterator

from cli.checks.finding import Result, fail, ok, warn
from cli.checks.situation import Situation
from cluster.member_links import RayOffer, ray_offer
from inventory.secret_files import ExposedSecretError
from nodes.head_client import HeadClient, HeadPlace, HeadRefusedError, HeadSilentError
from nodes.identity import IdentityFiles
from nodes.join_wire import OffersBody
from nodes.membership import Membership
from nodes.ray_member import read_order
from nodes.tls_client import BrokenAnswerError
from nodes.tls_contexts import client_context

ANSWER_WITHIN_S = 5.0
NO_MODEL = "no-model-has-this-name"


def check_head(situation: Situation) -> Iterator[Result]:
    """Asks who has a model that nobody has: only members may, and nothing changes at the head."""
    membership = situation.membership
    if membership is None:
        return
    try:
        context = client_context(IdentityFiles.at(situation.paths.identity, "node"))
    except (OSError, ExposedSecretError):
        return  # the checks of certificates and secrets tell
    yield asyncio.run(_head(membership, context))


def check_ray(situation: Situation) -> Iterator[Result]:
    """Ray's head, for machines that take part: firewalls that let the join port in often forget Ray's."""
    order = read_order(situation.paths)
    offer = ray_offer(situation.config) if situation.config is not None and not situation.is_member else ""
    if order is not None:
        yield asyncio.run(_ray(order.head_host, order.port))
    elif isinstance(offer, RayOffer) and "head" in situation.processes:
        yield asyncio.run(_ray(offer.host, offer.ports.gcs))


async def _head(membership: Membership, context: ssl.SSLContext) -> Result:
    place = HeadPlace(membership.head_host, membership.join_port)
    name = membership.node_id
    join = f"on the head: potluck nodes rm {name}; potluck token create --node {name}; here: the line it prints"
    try:
        await HeadClient(place, context, ANSWER_WITHIN_S).offers(OffersBody(NO_MODEL))
    except HeadRefusedError as error:
        return fail(f"the head at {place} refuses this machine: {error}", join)
    except HeadSilentError as error:
        return _silent(place, error.__cause__ or error, join)
    return ok(f"{place} answers, proves to be the head, and knows this machine")


def _silent(place: HeadPlace, cause: BaseException, join: str) -> Result:
    if isinstance(cause, TimeoutError):
        told = f"the head at {place} does not answer: a firewall drops what it is sent, or the machine is off"
        return fail(told, f"on the head: let TCP port {place.port} in, as `potluck firewall` there prints it")
    if isinstance(cause, ConnectionRefusedError):
        return fail(f"nobody listens at {place}, where the head should", "on the head: potluck status; potluck up")
    if isinstance(cause, ssl.SSLCertVerificationError):
        told = f"what answers at {place} does not prove to be this cluster's head: {cause.verify_message}"
        return fail(told, f"check the address, and the clocks of both; else {join}")
    if isinstance(cause, (BrokenAnswerError, ConnectionResetError, ssl.SSLError)):
        told = f"the head at {place} ends the connection ({cause}): it takes this machine's certificate for no good"
        return fail(told, join)
    told = f"there is no way to the head at {place}: {cause}"
    return fail(told, "see whether both machines are in the network: ip address; ping")


async def _ray(host: str, port: int) -> Result:
    place = HeadPlace(host, port)
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.transport.abort()
    except (OSError, TimeoutError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        told = f"Ray at {place} is not reached ({why}); links are https meanwhile, and nothing else is lost"
        return warn(told, "let Ray's ports in on the head (potluck firewall); logs/ray-head.log there says if it runs")
    return ok(f"Ray answers at {place}")
