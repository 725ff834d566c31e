"""Identities of one cluster in a directory, as a head would hand them out, and a node's TLS port in this process."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from fastapi import FastAPI, Request

from cluster.authority import CertificateAuthority, Subject
from inventory.clock import Clock, SystemClock
from nodes.deny_list import DenyList
from nodes.identity import IdentityFiles, install, new_key, validity_of
from nodes.peer import PeerRole
from nodes.relay.sockets import listen_tcp
from nodes.snapshot import EngineSnapshot
from nodes.tls_contexts import client_context, server_context
from nodes.tls_port import serve_node
from nodes.tls_server import Door

NODE = "mac"


@dataclass
class TestAuthority:
    """Issues an identity for each (role, name) asked for."""

    __test__ = False

    root: Path
    clock: Clock = field(default_factory=SystemClock)
    cluster: str = "home"

    def __post_init__(self) -> None:
        self.authority = CertificateAuthority.ensure(self.root / "ca", self.cluster, self.clock)

    def identity(self, role: PeerRole, name: str, directory: Path | None = None) -> IdentityFiles:
        """A new one at each call."""
        key = new_key(name)
        signed = self.authority.sign(key.request_pem, Subject(role, name))
        files = IdentityFiles.at(directory or self.root / f"identity-{role}-{name}", role)
        install(files, key.key_pem, signed.pem, self.authority.certificate_pem)
        return files


def serial_of(files: IdentityFiles) -> str:
    return validity_of(files.certificate.read_text()).serial


@dataclass
class Port:
    ca: TestAuthority
    identity: IdentityFiles
    port: int
    deny_list: DenyList
    engines: list[EngineSnapshot]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, files: IdentityFiles) -> httpx2.AsyncClient:
        return self.with_context(client_context(files))

    def with_context(self, context: ssl.SSLContext) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, verify=context, trust_env=False, timeout=60)


@asynccontextmanager
async def running_port(root: Path) -> AsyncIterator[Port]:
    app, engines, stop = FastAPI(), list[EngineSnapshot](), asyncio.Event()

    @app.api_route("/node/v1/{rest:path}", methods=["GET", "PUT", "POST"])
    async def control(rest: str, request: Request) -> dict[str, str]:
        return {"rest": rest, "peer": str(request.state.peer)}

    ca = TestAuthority(root)
    deny_list = DenyList(root / "identity")
    listener = listen_tcp("127.0.0.1", 0)
    identity = ca.identity("node", NODE)
    door = Door(listener, server_context(identity, "must_prove"))
    number = listener.getsockname()[1]
    serving = asyncio.create_task(serve_node(app, lambda: tuple(engines), door, deny_list, stop))
    try:
        yield Port(ca, identity, number, deny_list, engines)
    finally:
        stop.set()
        await serving
