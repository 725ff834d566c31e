"""The endpoint on a network: TLS with the cluster's certificate or the operator's own, beside plain HTTP on loopback.

Same protocol, same guards, same keys as on loopback; the connections belong to the same server.
"""

import asyncio
import ssl
from pathlib import Path

import uvicorn

from inventory.secret_files import ExposedSecretError, read_secret
from nodes.identity import IdentityFiles
from nodes.tls_port import open_door
from nodes.tls_server import HANDSHAKE_S
from router.log import EventLog
from router.settings import LanDoor

LOOK_EVERY_S = 2.0


class LanListener:
    """`run` until cancelled. `port` is known once `listening` is set."""

    def __init__(self, door: LanDoor, identity_dir: Path, log: EventLog) -> None:
        own = IdentityFiles.at(identity_dir, "gateway")
        self._certificate, self._key = door.certificate or own.certificate, door.key or own.key
        self._door, self._log = door, log
        self._loaded_ns = 0
        self._trouble = ""
        self.listening = asyncio.Event()
        self.port = door.port

    async def run(self, server: uvicorn.Server) -> None:
        """`server` must have been started: its connections and its drain are shared."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # clients here are anybody's programs, not our own machines
        while True:  # the head makes the cluster's certificate when it first starts, which may be later than this
            if self._load_changed(context):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        door = await open_door(self._door.host, self._door.port, context, asyncio.Event())
        assert door is not None, "only its event ends the wait for the address, and nobody sets it"
        config, state = server.config, server.server_state
        listener = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]  # as uvicorn calls it
            sock=door.listener,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        self.port = door.listener.getsockname()[1]
        self._log.emit("gateway_listens_on_network", host=self._door.host, port=self.port)
        self.listening.set()
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                self._load_changed(context)
        finally:
            listener.close()

    def _load_changed(self, context: ssl.SSLContext) -> bool:
        """Take a certificate that is new. New connections show it; open ones live on."""
        try:
            written_ns = self._certificate.stat().st_mtime_ns
            if written_ns != self._loaded_ns:
                read_secret(self._key)  # refuses a key that others can read
                context.load_cert_chain(self._certificate, self._key)
                self._loaded_ns = written_ns
        except (OSError, ExposedSecretError) as error:
            if str(error) != self._trouble:  # said once, not every two seconds
                self._log.emit("certificate_not_usable", file=str(self._certificate), reason=str(error))
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True
