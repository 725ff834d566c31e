"""What keeps a member a member: it reports where it listens, and renews its certificate long before it ends."""

import asyncio
import ssl
from dataclasses import dataclass

import structlog

from inventory.clock import Clock
from inventory.secret_files import ExposedSecretError, read_secret
from nodes.head_client import HeadCallError, HeadClient, HeadPlace
from nodes.identity import IdentityFiles, hosts_of, install, new_key, renewal_due, validity_of
from nodes.join_wire import ReportBody
from nodes.membership import Membership
from nodes.tls_contexts import client_context, load_identity

log = structlog.get_logger("potluck.node.upkeep")


@dataclass(frozen=True, slots=True)
class UpkeepTimes:
    look_s: float = 60.0
    again_s: float = 5.0  # after a look that failed


class Upkeep:
    """`server` is the context of this node's TLS port: it shows the new certificate from a renewal on."""

    def __init__(
        self, files: IdentityFiles, membership: Membership, server: ssl.SSLContext, clock: Clock, times: UpkeepTimes
    ) -> None:
        self._files, self._membership, self._server = files, membership, server
        self._clock, self._times = clock, times
        self._trouble = ""

    async def run(self) -> None:
        """Until cancelled. A head that is away is no trouble for days."""
        while True:
            try:
                await self.look()
            except (HeadCallError, OSError, ExposedSecretError) as error:
                if str(error) != self._trouble:  # said once, not every few seconds
                    log.warning("membership_upkeep_failed", reason=str(error))
                self._trouble = str(error)
                await asyncio.sleep(self._times.again_s)
            else:
                self._trouble = ""
                await asyncio.sleep(self._times.look_s)

    async def look(self) -> None:
        """Report; renew if it is time, or for a new address. Raises HeadCallError, OSError, ExposedSecretError."""
        membership = self._membership
        client = HeadClient(HeadPlace(membership.head_host, membership.join_port), client_context(self._files))
        seen = await client.report(ReportBody(membership.listen_port, membership.host))
        certificate = read_secret(self._files.certificate)
        moved = bool(seen.host) and seen.host not in hosts_of(certificate)
        if moved or renewal_due(validity_of(certificate), self._clock.wall_s()):
            await self._renew(client)

    async def _renew(self, client: HeadClient) -> None:
        key = new_key(self._membership.node_id)
        renewed = await client.renew(key.request_pem)
        install(self._files, key.key_pem, renewed.certificate_pem, read_secret(self._files.ca) + "\n")
        load_identity(self._server, self._files)
        log.info("certificate_renewed", node=self._membership.node_id)
