"""Joining from the machine that joins: pin the CA, prove the token, make a key, and keep what comes back."""

import hmac
import ssl
from dataclasses import dataclass, replace

import httpx2

from cluster.join_token import JoinToken, proof_of
from inventory.paths import StatePaths
from nodes.head_client import HeadClient, HeadPlace, HeadSilentError
from nodes.identity import IdentityFiles, install, key_fingerprint, new_key
from nodes.join_wire import PREFIX, JoinBody, Joined
from nodes.membership import Membership, write_membership
from nodes.snapshot import NodeId
from nodes.tls_contexts import trusting

CA_LIMIT_BYTES = 16 * 1024


class WrongAuthorityError(Exception):
    """Whoever answers is not the head that made the token. Nothing was sent. `potluck join` prints this and exits 1."""

    def __init__(self, place: HeadPlace) -> None:
        super().__init__(
            f"{place} shows another certificate authority than the one in the token, so nothing was sent to it; "
            "check the address, and make a new token on the head"
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """How this machine wants to take part. `node` "" takes the token's name, `host` "" what the head sees."""

    node: str
    host: str
    listen_host: str
    port: int


async def fetch_authority(place: HeadPlace, token: JoinToken) -> str:
    """The CA's certificate, if it is the token's. Raises HeadSilentError, WrongAuthorityError.

    The connection proves nothing yet, and nothing is sent on it but the request for this public certificate.
    """
    unproven = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unproven.minimum_version = ssl.TLSVersion.TLSv1_3
    unproven.check_hostname = False
    unproven.verify_mode = ssl.CERT_NONE
    try:
        async with httpx2.AsyncClient(verify=unproven, timeout=10, trust_env=False) as client:
            answer = await client.get(f"https://{place}{PREFIX}/ca")
    except httpx2.HTTPError as error:
        raise HeadSilentError(f"no head answers at {place}: {error or type(error).__name__}") from error
    if answer.status_code != httpx2.codes.OK or len(answer.content) > CA_LIMIT_BYTES:
        raise HeadSilentError(f"what answers at {place} is not the join listener of a potluck head")
    try:
        fingerprint = key_fingerprint(answer.text)
    except ValueError as error:
        raise WrongAuthorityError(place) from error
    if not hmac.compare_digest(fingerprint, token.fingerprint):
        raise WrongAuthorityError(place)
    return answer.text


async def join(paths: StatePaths, place: HeadPlace, token: JoinToken, ca_pem: str, wish: Wish) -> Joined:
    """Become a member, and keep key, certificate and membership. Raises HeadCallError."""
    key = new_key(wish.node or "node")
    client = HeadClient(place, trusting(ca_pem))
    nonce = (await client.hello(token.token_id)).nonce
    unproved = JoinBody(token.token_id, nonce, wish.node, wish.port, wish.host, request_pem=key.request_pem, proof="")
    joined = await client.join(replace(unproved, proof=proof_of(token.secret, unproved)))
    install(IdentityFiles.at(paths.identity, "node"), key.key_pem, joined.certificate_pem, ca_pem)
    membership = Membership(
        cluster=joined.cluster,
        node_id=NodeId(joined.node),
        head_host=place.host,
        join_port=place.port,
        host=wish.host,
        listen_host=wish.listen_host,
        listen_port=wish.port,
    )
    write_membership(paths.identity, membership)
    return joined
